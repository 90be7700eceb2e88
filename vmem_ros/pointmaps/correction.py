"""A smooth field that brings a prediction to what is remembered, and fades where nothing is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate, pad

# Cells along each side, and how often they are averaged with their neighbours.
_CELLS, _ROUNDS = 12, 2
# Weight of "no correction": a cell with a fiftieth of its pixels known is corrected by half.
_REST = 0.02


def correction_field(difference: Tensor, weight: Tensor) -> Tensor:
    """Return a smooth continuation [H, W] of what is known of a field, which tends to zero away from it.

    :param difference: [H, W] values where ``weight`` > 0; anything elsewhere.
    :param weight: [H, W] in [0, 1].
    """
    known = torch.where(weight > 0, difference, 0.0)
    cells = min(_CELLS, difference.shape[0]), min(_CELLS, difference.shape[1])
    total, mass = (_blur(adaptive_avg_pool2d(each[None, None], cells)) for each in (known * weight, weight))
    field: Tensor = interpolate(total / (mass + _REST), difference.shape, mode="bilinear", align_corners=False)[0, 0]
    return field


def _blur(cells: Tensor) -> Tensor:
    """Return cells [1, 1, h, w] averaged with weights 1 2 1 along both axes; nothing lies beyond the border."""
    for _ in range(_ROUNDS):
        padded = pad(cells, (1, 1, 1, 1))
        rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
        cells = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return cells
