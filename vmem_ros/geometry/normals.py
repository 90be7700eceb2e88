"""Surface normals of a point map."""

import torch
from torch import Tensor


def normals_from_points(points: Tensor, *, max_depth_ratio: float = 1.1) -> Tensor:
    """Return unit normals [H, W, 3] of a point map [H, W, 3] in the optical frame, facing the camera; NaN if none.

    Cross product of differences along the rows and columns: central where both neighbours lie on the same surface,
    one-sided at image borders and at depth edges. Two neighbours lie on the same surface when their z-depths differ
    by less than the factor ``max_depth_ratio``. A pixel without a usable neighbour in one direction has no normal.
    """
    du = _difference(points, dim=1, max_depth_ratio=max_depth_ratio)
    dv = _difference(points, dim=0, max_depth_ratio=max_depth_ratio)
    cross = torch.linalg.cross(du, dv)
    length = torch.linalg.vector_norm(cross, dim=-1, keepdim=True)
    scale = torch.linalg.vector_norm(du, dim=-1, keepdim=True) * torch.linalg.vector_norm(dv, dim=-1, keepdim=True)
    normal = torch.where(length > 1e-6 * scale, cross / length, torch.nan)
    away = (normal * points).sum(dim=-1, keepdim=True) > 0
    return torch.where(away, -normal, normal)


def _difference(points: Tensor, *, dim: int, max_depth_ratio: float) -> Tensor:
    """Return the difference along ``dim`` as the mean of the usable forward and backward steps, NaN if neither is."""
    size = points.shape[dim]
    first, second = points.narrow(dim, 0, size - 1), points.narrow(dim, 1, size - 1)
    ratio = second[..., 2] / first[..., 2]
    usable = (ratio < max_depth_ratio) & (ratio > 1 / max_depth_ratio)
    step = torch.where(usable[..., None], second - first, 0.0)
    total, count = torch.zeros_like(points), torch.zeros_like(points[..., :1])
    for start in (0, 1):
        total.narrow(dim, start, size - 1).add_(step)
        count.narrow(dim, start, size - 1).add_(usable[..., None])
    return torch.where(count > 0, total / count, torch.nan)
