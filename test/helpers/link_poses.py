"""Poses of a robot's link: x forward, y left, z up."""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation

from vmem_ros.geometry import pose_from


def pose(x: float, y: float = 0.0, z: float = 0.0, *, yaw_deg: float = 0.0) -> torch.Tensor:
    """Return [4, 4] float64 of a level link."""
    return pose_from([x, y, z], Rotation.from_euler("z", yaw_deg, degrees=True).as_quat())


def path(*poses: torch.Tensor) -> torch.Tensor:
    """Return [N, 4, 4] of N poses."""
    return torch.stack(poses)
