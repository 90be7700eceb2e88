"""Transforms between frames: chains, times between two of them, gaps, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from link_poses import pose
from vmem_ros.errors import FrameError
from vmem_ros.geometry import invert
from vmem_ros.geometry.transform_tree import TransformTree

SECOND = 1_000_000_000


@pytest.fixture
def tree() -> TransformTree:
    tree = TransformTree()
    tree.add("map", "odom", pose(10), SECOND)
    tree.add("map", "odom", pose(20, yaw_deg=90), 2 * SECOND)
    tree.add("odom", "base", pose(1), SECOND)
    tree.add("odom", "base", pose(3), 3 * SECOND)
    tree.add("base", "camera", pose(0, z=0.5), 0, static=True)
    return tree


def test_chain_is_interpolated(tree: TransformTree) -> None:
    expected = pose(15, yaw_deg=45) @ pose(1.5) @ pose(0, z=0.5)
    torch.testing.assert_close(tree.lookup("map", "camera", int(1.5 * SECOND)), expected)


def test_inverse_and_siblings(tree: TransformTree) -> None:
    tree.add("base", "lidar", pose(0, z=1), 0, static=True)
    stamp = SECOND
    torch.testing.assert_close(
        tree.lookup("camera", "map", stamp), invert(tree.lookup("map", "camera", stamp)), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(tree.lookup("camera", "lidar", 0), pose(0, z=0.5))
    torch.testing.assert_close(tree.lookup("base", "base", 0), pose(0))


def test_time_zero_is_the_newest_all_share(tree: TransformTree) -> None:
    torch.testing.assert_close(tree.lookup("map", "base", 0), pose(20, yaw_deg=90) @ pose(2))


@pytest.mark.parametrize(
    ("target", "source", "stamp", "text"),
    [
        ("map", "gripper", 0, "frame 'gripper' is unknown; known are base, camera, map, odom"),
        ("map", "base", 3 * SECOND, "map -> odom is asked for 1.000 s after the newest one"),
        ("map", "base", SECOND // 2, "0.500 s before the oldest one"),
        ("moon", "base", 0, "frame 'moon' is unknown"),
    ],
)
def test_refused(tree: TransformTree, target: str, source: str, stamp: int, text: str) -> None:
    with pytest.raises(FrameError, match=text):
        tree.lookup(target, source, stamp)


def test_nothing_is_known_in_a_gap_but_close_to_its_ends() -> None:
    tree = TransformTree(max_gap_s=0.5, slack_s=0.02)
    for second in (1, 1.4, 3):
        tree.add("map", "base", pose(second), int(second * SECOND))
    torch.testing.assert_close(tree.lookup("map", "base", int(1.2 * SECOND)), pose(1.2))
    torch.testing.assert_close(tree.lookup("map", "base", int(1.41 * SECOND)), pose(1.4))
    torch.testing.assert_close(tree.lookup("map", "base", int(2.99 * SECOND)), pose(3))
    torch.testing.assert_close(tree.lookup("map", "base", int(3.01 * SECOND)), pose(3))
    with pytest.raises(FrameError, match=r"map -> base is not known from 1.400 s to 3.000 s"):
        tree.lookup("map", "base", 2 * SECOND)
    with pytest.raises(FrameError, match=r"asked for 0.030 s after the newest one"):
        tree.lookup("map", "base", int(3.03 * SECOND))


def test_how_much_is_kept_is_asked_for() -> None:
    tree = TransformTree(keep_s=math.inf)
    tree.add("map", "base", pose(1), SECOND)
    tree.add("map", "base", pose(2), 1000 * SECOND)
    torch.testing.assert_close(tree.lookup("map", "base", SECOND), pose(1))


def test_not_connected(tree: TransformTree) -> None:
    tree.add("moon", "crater", pose(1), 0, static=True)
    with pytest.raises(FrameError, match="not connected"):
        tree.lookup("map", "crater", 0)


def test_errors_of_robots_with_thousands_of_frames_stay_short() -> None:
    tree = TransformTree()
    for i in range(3000):
        tree.add("map", f"link_{i:04}", pose(0), 0, static=True)
    with pytest.raises(FrameError, match=r"known are link_0000, .*link_0019 and 2981 more$") as caught:
        tree.lookup("map", "gripper", 0)
    assert len(str(caught.value)) < 400


def test_newest_comes_with_its_time(tree: TransformTree) -> None:
    T, stamp_ns = tree.newest("map", "camera")
    assert stamp_ns == 2 * SECOND
    torch.testing.assert_close(T, tree.lookup("map", "camera", stamp_ns))
    assert tree.newest("base", "camera")[1] == 0  # holds for all times


def test_loop_ends() -> None:
    tree = TransformTree()
    tree.add("a", "b", pose(0), 0, static=True)
    tree.add("b", "a", pose(0), 0, static=True)
    with pytest.raises(FrameError, match="loop"):
        tree.lookup("a", "b", 0)


def test_old_transforms_are_forgotten(tree: TransformTree) -> None:
    tree.add("map", "odom", pose(0), 20 * SECOND)
    with pytest.raises(FrameError, match="before the oldest"):
        tree.lookup("map", "odom", 2 * SECOND)


def test_clear_keeps_what_is_static(tree: TransformTree) -> None:
    tree.clear()
    torch.testing.assert_close(tree.lookup("base", "camera", 0), pose(0, z=0.5))
    with pytest.raises(FrameError, match="unknown"):
        tree.lookup("map", "camera", 0)
