"""Rotary positions: heads are turned by angles that grow with the position of their token."""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(positions: Tensor, head_width: int, *, base: float = 1e6) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [N, head width] float32 of the angles at N positions.

    Channel i turns with channel i + head width / 2, by ``position * base ** (-2 i / head width)``.

    :param positions: [N] int64: tokens of one image share theirs.
    :param head_width: an even number.
    """
    frequency = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64, device=positions.device) / head_width)
    angle = (positions.to(torch.float64)[:, None] * frequency).repeat(1, 2)
    return angle.cos().float(), angle.sin().float()


def rotate(heads: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Return heads [B, h, N, head width] turned by the angles of a table."""
    cosine, sine = (each.to(heads) for each in table)
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat([-second, first], dim=-1) * sine
