"""Depth where nothing is remembered, continued from where something is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def fill_depth(depth: Tensor) -> Tensor:
    """Return z-depth [..., H, W] with its NaN and infinite pixels filled; where all of an image is, it stays NaN.

    Push-pull over an image pyramid, on inverse depth, which is linear over a plane. Each known pixel weighs by its
    squared depth: what appears from behind an object is the background, not something half-way.
    """
    known = torch.isfinite(depth)
    images = (-1, 1, *depth.shape[-2:])
    weight = torch.where(known, depth.square(), 0.0).view(images)
    inverse = torch.where(known, 1 / depth, 0.0).view(images)
    filled = _push_pull(inverse, weight).view(depth.shape)
    return torch.where(known, depth, 1 / filled)


def _push_pull(value: Tensor, weight: Tensor) -> Tensor:
    """Return inverse depth ``value`` [N, 1, H, W] where ``weight`` > 0, and a smooth continuation of it elsewhere."""
    if min(value.shape[-2:]) == 1 or bool((weight > 0).all()):
        total = weight.sum(dim=(-2, -1), keepdim=True)
        return torch.where(weight > 0, value, (value * weight).sum(dim=(-2, -1), keepdim=True) / total)
    coarse_weight = avg_pool2d(weight, 2, ceil_mode=True)
    coarse = avg_pool2d(value * weight, 2, ceil_mode=True) / coarse_weight
    coarse = torch.where(coarse_weight > 0, coarse, 0.0)
    depth = 1 / _push_pull(coarse, coarse_weight)
    # On the way down, too, every value weighs by its squared depth: (1 / d) * d^2 over d^2.
    mean, square = (
        interpolate(each, size=value.shape[-2:], mode="bilinear", align_corners=False)
        for each in (depth, depth.square())
    )
    return torch.where(weight > 0, value, mean / square)
