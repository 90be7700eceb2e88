"""Velocities become motions."""

from __future__ import annotations

import numpy as np
import torch

from link_poses import pose
from vmem_ros.nodes.camera.teleop import limited, motion


def test_straight_and_turning() -> None:
    torch.testing.assert_close(motion(np.array([2.0, 0, 0]), np.zeros(3), 0.5), pose(1))
    torch.testing.assert_close(
        motion(np.zeros(3), np.array([0, 0, np.pi]), 0.5), pose(0, yaw_deg=90), rtol=0, atol=1e-12
    )


def test_small_steps_make_a_circle() -> None:
    """One metre a second forward and one radian a second to the left: a circle of one metre."""
    T = torch.eye(4, dtype=torch.float64)
    for _ in range(300):
        T = T @ motion(np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.pi / 300)
    torch.testing.assert_close(T, pose(0, 2, yaw_deg=180), rtol=0, atol=1e-4)


def test_what_is_too_fast_keeps_its_direction() -> None:
    slow = np.array([3.0, 0, 4.0])
    assert limited(slow, 5.0) is slow
    np.testing.assert_allclose(limited(slow, 1.0), [0.6, 0, 0.8])
    np.testing.assert_allclose(limited(np.array([1e307, 0, -1e307]), 2.0), np.sqrt(2) * np.array([1, 0, -1]))
