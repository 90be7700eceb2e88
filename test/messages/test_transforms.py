"""Poses: the axes of link and optical frame, round trips, and what is no pose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from vmem_ros.errors import InvalidPoseError
from vmem_ros.geometry import pose_from
from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.messages.transforms import (
    T_LINK_OPTICAL,
    camera_from_link,
    link_from_camera,
    pose_from_message,
    pose_to_message,
    transform_from_message,
    transform_to_message,
)

ROSBAGS = MessageTypes.of_rosbags(get_typestore(Stores.ROS2_JAZZY))


def test_link_looks_along_x_with_z_up() -> None:
    """A link at the origin looks along the world's x, the picture's right is the world's -y, its down is -z."""
    T = camera_from_link(torch.eye(4, dtype=torch.float64))
    np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([0.0, 0, 1]).double(), [1, 0, 0])
    np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([1.0, 0, 0]).double(), [0, -1, 0])
    np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([0.0, 1, 0]).double(), [0, 0, -1])


def test_optical_frame_has_the_roll_pitch_yaw_of_rep_103() -> None:
    expected = Rotation.from_euler("xyz", [-90, 0, -90], degrees=True).as_matrix()
    np.testing.assert_allclose(T_LINK_OPTICAL[:3, :3], expected, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.integers(0, 10_000))
def test_any_pose_comes_back(position: list[float], seed: int) -> None:
    T = pose_from(position, Rotation.random(random_state=seed).as_quat())
    torch.testing.assert_close(pose_from_message(pose_to_message(ROSBAGS, T)), T, rtol=0, atol=1e-9)
    torch.testing.assert_close(camera_from_link(link_from_camera(T)), T, rtol=0, atol=1e-9)


def test_round_trips(types, head) -> None:
    T = pose_from([1.0, -2.0, 3.0], Rotation.random(random_state=1).as_quat())
    torch.testing.assert_close(pose_from_message(pose_to_message(types, T)), T, rtol=0, atol=1e-9)
    stamped = transform_to_message(types, T, head, "child")
    torch.testing.assert_close(transform_from_message(stamped.transform), T, rtol=0, atol=1e-9)
    assert (stamped.header, stamped.child_frame_id) == (head, "child")


@pytest.mark.parametrize(
    ("position", "quaternion_xyzw", "text"),
    [
        ((float("nan"), 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), "not finite"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0), "norm 0"),
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 1.0), "normalise"),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, float("inf")), "not finite"),
    ],
)
def test_refused(types, position: tuple, quaternion_xyzw: tuple, text: str) -> None:
    pose = types.make(
        "geometry_msgs/msg/Pose",
        position=types.make("geometry_msgs/msg/Point", **dict(zip("xyz", position, strict=True))),
        orientation=types.make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", quaternion_xyzw, strict=True))),
    )
    with pytest.raises(InvalidPoseError, match=text):
        pose_from_message(pose)
