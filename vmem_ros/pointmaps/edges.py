"""Where a depth image shows the gap between two surfaces rather than a surface."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from vmem_ros.geometry import Camera, pixel_rays

#: A surface whose normal has a smaller cosine with the ray (7 degrees of grazing) is taken for a gap.
LEAST_COSINE = 0.12


def viewing_cosine(depth: Tensor, camera: Camera) -> Tensor:
    """Return |n . v| [H, W] of the surface through each pixel and its neighbours; NaN where nothing is known.

    With X = x / z and Y = y / z, a plane has the inverse depth ``y = (n_X X + n_Y Y + n_Z) / d``: the normal is along
    (dy/dX, dy/dY, y - X dy/dX - Y dy/dY), and its product with the ray (X, Y, 1) is y. The derivatives are central
    differences, so they also see the ramp that a network or an interpolation draws across a gap.

    :param depth: [H, W] z-depth; NaN unknown, +Inf nothing there.
    """
    inverse = torch.where(depth > 0, 1 / depth, torch.nan)
    rays = pixel_rays(camera, dtype=depth.dtype, device=depth.device)
    by_u, by_v = _central(inverse, 1), _central(inverse, 0)
    by_x = by_u * camera.fx
    by_y = by_u * float(camera.K[0, 1]) + by_v * camera.fy
    normal = torch.stack([by_x, by_y, inverse - rays[..., 0] * by_x - rays[..., 1] * by_y], dim=-1)
    lengths = torch.linalg.vector_norm(normal, dim=-1) * torch.linalg.vector_norm(rays, dim=-1)
    return inverse / lengths


def is_gap(depth: Tensor, camera: Camera) -> Tensor:
    """Return [H, W] bool: pixels at a depth discontinuity, sharp or smeared, whose points lie between surfaces.

    Near edges of objects are among them: which side of an edge a network's pixel belongs to is not known.
    """
    return viewing_cosine(depth, camera) < LEAST_COSINE


def _central(values: Tensor, dim: int) -> Tensor:
    """Return central differences, one-sided at borders and beside unknown pixels, zero between two of them."""
    step = values.diff(dim=dim)
    ends = (1, 0), (0, 1)
    before, after = (pad(step, end if dim == 1 else (0, 0, *end), value=torch.nan) for end in ends)
    return torch.nan_to_num(torch.stack([before, after]).nanmean(dim=0), nan=0.0)
