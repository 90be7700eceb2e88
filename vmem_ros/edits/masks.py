"""Masks and depth maps of pictures, carried over to the pixels beside them."""

from __future__ import annotations

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import max_pool2d


def nearest_known(depth: Tensor) -> Tensor:
    """Return z-depth [H, W] whose NaN are those of the nearest pixels that have any; infinity is known, too."""
    unknown = depth.isnan()
    if not bool(unknown.any()) or bool(unknown.all()):
        return depth
    row, column = distance_transform_edt(unknown.numpy(), return_distances=False, return_indices=True)
    return depth[torch.from_numpy(row).long(), torch.from_numpy(column).long()]


def grown(mask: Tensor, *, pixels: int = 1) -> Tensor:
    """Return a mask [H, W] bool with the pixels beside it, so many to each side."""
    return max_pool2d(mask[None].float(), 2 * pixels + 1, stride=1, padding=pixels)[0] > 0
