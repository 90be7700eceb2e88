"""Sampling of paths that the camera is told to follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from link_poses import path, pose
from vmem_ros.errors import InvalidPoseError
from vmem_ros.geometry import geodesic_distance
from vmem_ros.nodes.camera.pose_commands import sample_path


def test_distance_and_angle_bound_the_steps() -> None:
    keys = path(pose(0), pose(1), pose(1, yaw_deg=90), pose(1, 1, yaw_deg=90))
    T = torch.stack(sample_path(keys, distance_m=0.3, angle_rad=np.radians(20), max_views=100))
    assert torch.equal(T[0], keys[0])
    torch.testing.assert_close(T[-1], keys[-1])
    metres = torch.linalg.vector_norm(T[1:, :3, 3] - T[:-1, :3, 3], dim=-1)
    angles = geodesic_distance(T[1:], T[:-1], translation_weight=0.0)
    assert metres.max() <= 0.3 + 1e-9
    assert angles.max() <= np.radians(20) + 1e-9


def test_one_pose_and_standing_still() -> None:
    assert len(sample_path(path(pose(1)), distance_m=1, angle_rad=1, max_views=1)) == 1
    assert len(sample_path(path(*[pose(1)] * 5), distance_m=1, angle_rad=1, max_views=1)) == 1


def test_too_long() -> None:
    with pytest.raises(InvalidPoseError, match=r"needs 11 views, path.max_views is 10"):
        sample_path(path(pose(0), pose(10)), distance_m=1, angle_rad=1, max_views=10)


def test_of_many_poses_close_together() -> None:
    """Only those that samples lie between are looked at: the samples are the same."""
    angles = np.linspace(0, 90, 5000)
    keys = path(*(pose(np.sin(np.radians(a)), 1 - np.cos(np.radians(a)), yaw_deg=a) for a in angles))
    T = torch.stack(sample_path(keys, distance_m=0.1, angle_rad=np.radians(45), max_views=100))
    assert len(T) == 17
    metres = torch.linalg.vector_norm(T[1:, :3, 3] - T[:-1, :3, 3], dim=-1).numpy()
    np.testing.assert_allclose(metres, np.pi / 2 / 16, rtol=1e-3)
    np.testing.assert_allclose(T[:, 0, 3], np.sin(np.linspace(0, np.pi / 2, 17)), atol=1e-6)
