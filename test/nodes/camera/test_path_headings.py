"""Headings of paths that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from link_poses import path, pose
from vmem_ros.nodes.camera.path_headings import look_ahead, says_no_heading

IDENTITY, LEFT = [0.0, 0, 0, 1], [0.0, 0, 1, 0]


def yaws(poses: torch.Tensor) -> np.ndarray:
    """Headings in degrees, of links that must be level."""
    R = poses[:, :3, :3].numpy()
    np.testing.assert_allclose(R[:, 2], [[0, 0, 1]] * len(R), atol=1e-12)
    return np.degrees(Rotation.from_matrix(R).as_euler("zyx")[:, 0])


def test_a_straight_line_is_looked_along() -> None:
    looking = look_ahead(path(pose(0), pose(1, 1), pose(2, 2)), keep_last=False)
    np.testing.assert_allclose(yaws(looking), 45, atol=1e-9)
    torch.testing.assert_close(looking[0][:3, 3], pose(0)[:3, 3])
    torch.testing.assert_close(looking[-1][:3, 3], pose(2, 2)[:3, 3])


def test_the_goal_keeps_its_heading() -> None:
    looking = look_ahead(path(pose(0), pose(0, 1), pose(0, 2, yaw_deg=180)), keep_last=True)
    np.testing.assert_allclose(yaws(looking[:-1]), 90, atol=1e-9)
    torch.testing.assert_close(looking[-1], pose(0, 2, yaw_deg=180))


def test_far_corners_are_turned_at_and_not_before() -> None:
    """Two poses a leg: what lies between must look along the leg, not at the next one."""
    looking = look_ahead(path(pose(0), pose(4), pose(4, 4)), keep_last=False)
    for T, yaw in zip(looking, yaws(looking), strict=True):
        if float(T[0, 3]) < 3.6:
            assert yaw == pytest.approx(0, abs=1e-9)
        elif float(T[1, 3]) > 0:
            assert yaw == pytest.approx(90, abs=1e-9)
        else:
            assert -1e-9 <= yaw <= 90 + 1e-9


def test_a_grid_planner_does_not_make_the_camera_shake() -> None:
    """Cells of 5 cm, straight and diagonal by turns: on average 22.5 degrees."""
    steps = np.array([[0.05, 0.0], [0.05, 0.05]] * 20)
    places = np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    looking = look_ahead(path(*(pose(float(x), float(y)) for x, y in places)), keep_last=False)
    assert np.abs(yaws(looking) - np.degrees(np.arctan2(0.5, 1))).max() < 5


def test_a_plan_from_farther_on_has_the_same_headings() -> None:
    bend = path(*(pose(math.sin(a), 1 - math.cos(a)) for a in np.linspace(0, 1.5, 31)))
    whole, rest = (look_ahead(bend[i:], keep_last=False) for i in (0, 10))
    for T in rest[:: len(rest) - 1]:
        same = min(whole, key=lambda other: float(torch.dist(other[:3, 3], T[:3, 3])))
        torch.testing.assert_close(same, T)


def test_up_and_standing_still() -> None:
    climb = look_ahead(path(pose(0), pose(0, 1), pose(0, 1, 2)), keep_last=False)
    np.testing.assert_allclose(yaws(climb), 90, atol=1e-9)
    still = path(*[pose(1, yaw_deg=30)] * 3)
    assert look_ahead(still, keep_last=False) is still
    lift = path(pose(1, z=0.0, yaw_deg=30), pose(1, z=2.0, yaw_deg=30))
    assert look_ahead(lift, keep_last=False) is lift


@pytest.mark.parametrize(
    ("orientations", "none"),
    [
        ([IDENTITY, IDENTITY, LEFT], True),
        ([IDENTITY, IDENTITY, IDENTITY], True),
        ([IDENTITY, LEFT, IDENTITY], False),
        ([LEFT, LEFT], False),
        ([IDENTITY], False),
    ],
)
def test_what_has_no_heading(orientations: list[list[float]], none: bool) -> None:
    assert says_no_heading(np.array(orientations)) == none
