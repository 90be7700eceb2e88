"""What a depth map says pixel by pixel: how many it knows, and which of its values are depths."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import compiled_points as compiled
from vmem_ros.kernels import usable


class DepthCounts(NamedTuple):
    """Pixels of a depth map.

    :param known: with a positive depth, infinite ones among them.
    :param infinite: where the camera looked and saw nothing.
    """

    known: int
    infinite: int


def count_depth(depth: Tensor) -> DepthCounts:
    """Return how many pixels of a depth map are known, and how many of these infinite."""
    if depth.dtype == torch.float32 and (library := usable(depth)):
        return DepthCounts(*compiled.count_depth(library, depth))
    return DepthCounts(int((depth > 0).sum()), int(torch.isposinf(depth).sum()))


def measured_depth(depth: Tensor, most: float) -> Tensor:
    """Return a depth map [H, W] float32 that is NaN unless it is positive, and at most ``most`` or infinite."""
    if library := usable(depth):
        return compiled.measured_depth(library, depth, most)
    return torch.where((depth > 0) & ((depth <= most) | (depth == torch.inf)), depth, torch.nan)


def known_depth(depth: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Return a depth map that is NaN unless it is positive, and its confidence, 0 unless depth is finite besides."""
    alike = depth.dtype == confidence.dtype == torch.float32 and depth.shape == confidence.shape
    if alike and (library := usable(depth, confidence)):
        return compiled.known_depth(library, depth, confidence)
    positive = depth > 0
    return torch.where(positive, depth, torch.nan), torch.where(positive & (depth < torch.inf), confidence, 0.0)
