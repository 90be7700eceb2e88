"""Which past views refer to targets: those whose visible voxels overlap with the targets' (Mirage), on plain clouds.

The memory does the same by what cameras see of its surfaces, occlusion included; here points hide nothing, as in the
published code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry import Camera


def in_view(points: Tensor, camera: Camera, T_world_camera: Tensor) -> Tensor:
    """Return [N] bool: points [N, 3] of the world that fall into one of the pictures, hidden or not.

    :param T_world_camera: [V, 4, 4] poses of the camera. (In the precision of the points: the published geometry puts
        points exactly on borders.)
    """
    seen = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    for T in torch.linalg.inv(T_world_camera.to(points)):
        x, y, z = (points @ T[:3, :3].T + T[:3, 3]).unbind(1)
        u, v = x * camera.fx / z + camera.cx, y * camera.fy / z + camera.cy
        seen |= (z > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    return seen


def voxels_of(points: Tensor, voxel: float) -> Tensor:
    """Return the distinct voxels [M, 3] int64, ``voxel`` metres wide, in which points [N, 3] of the world lie."""
    return torch.floor(points / voxel).long().unique(dim=0)


def voxel_overlap(target: Tensor, views: Sequence[Tensor]) -> Tensor:
    """Return intersection over union [V] float64 of the distinct voxels of a target and of each view, all [m, 3]."""
    shares = []
    for view in views:
        union = len(torch.cat([target, view]).unique(dim=0))
        shares.append((len(target) + len(view) - union) / max(1, union))
    return torch.tensor(shares, dtype=torch.float64)


def best_overlap(overlap: Tensor, k: int, *, least: float = 0.04) -> list[int]:
    """Return at most ``k`` views with overlaps [V] of at least ``least``, the best first; of equal ones the older."""
    order = torch.argsort(overlap, descending=True, stable=True)[:k]
    return order[overlap[order] >= least].tolist()
