"""Surface normals of a point map."""

from __future__ import annotations

import torch
from torch import Tensor

#: Neighbouring points of one surface differ in z-depth by less than this factor.
SAME_SURFACE = 1.1


def normals_from_points(
    points: Tensor, *, rows: Tensor | None = None, columns: Tensor | None = None, max_depth_ratio: float = SAME_SURFACE
) -> Tensor:
    """Return unit normals [R, C, 3] of a point map [H, W, 3] in the optical frame, facing the camera; NaN if none.

    Cross product of differences along the rows and columns: central where both neighbours lie on the same surface,
    one-sided at image borders and at depth edges. Two neighbours lie on the same surface when their z-depths differ
    by less than the factor ``max_depth_ratio``. A pixel without a usable neighbour in one direction has no normal.

    :param rows: [R] int64 image rows where normals are wanted; ``None``: all.
    :param columns: [C] int64 likewise.
    """
    height, width = points.shape[:2]
    rows = torch.arange(height, device=points.device) if rows is None else rows
    columns = torch.arange(width, device=points.device) if columns is None else columns

    def at(down: int, right: int) -> Tensor:
        # Beyond the border a pixel is its own neighbour; that step has no length and does not count.
        v, u = (rows + down).clamp(0, height - 1), (columns + right).clamp(0, width - 1)
        return points[v][:, u]

    centre = at(0, 0)
    du = _difference(at(0, -1), centre, at(0, 1), max_depth_ratio)
    dv = _difference(at(-1, 0), centre, at(1, 0), max_depth_ratio)
    cross = torch.linalg.cross(du, dv)
    length = torch.linalg.vector_norm(cross, dim=-1, keepdim=True)
    scale = torch.linalg.vector_norm(du, dim=-1, keepdim=True) * torch.linalg.vector_norm(dv, dim=-1, keepdim=True)
    normal = torch.where(length > 1e-6 * scale, cross / length, torch.nan)
    away = (normal * centre).sum(dim=-1, keepdim=True) > 0
    return torch.where(away, -normal, normal)


def _difference(before: Tensor, centre: Tensor, after: Tensor, max_depth_ratio: float) -> Tensor:
    """Return the mean of the usable steps before -> centre -> after, NaN where neither is."""
    total, count = torch.zeros_like(centre), torch.zeros_like(centre[..., :1])
    for first, second in ((before, centre), (centre, after)):
        step = second - first
        ratio = second[..., 2] / first[..., 2]
        usable = ((ratio < max_depth_ratio) & (ratio > 1 / max_depth_ratio) & (step != 0).any(dim=-1))[..., None]
        total += torch.where(usable, step, 0.0)
        count += usable
    return torch.where(count > 0, total / count, torch.nan)
