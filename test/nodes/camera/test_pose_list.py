"""Poses out of the bytes of a path."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
import torch
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Path
from rclpy.serialization import serialize_message

from properties import unit
from vmem_ros.errors import InvalidPoseError
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import pose_from_message
from vmem_ros.nodes.camera.pose_list import path_from_bytes
from vmem_ros.nodes.interface.rclpy_messages import header

FRAMES = st.sampled_from(["", "map", "mop", "odom", "camera_link", "ä"])


def stamped(frame: str, stamp_ns: int, angle: float) -> PoseStamped:
    turned = Quaternion(z=float(np.sin(angle / 2)), w=float(np.cos(angle / 2)))
    return PoseStamped(
        header=header(frame, stamp_ns), pose=Pose(position=Point(x=angle, y=2 * angle, z=-1.0), orientation=turned)
    )


def path(poses: list[PoseStamped], frame: str = "map") -> Path:
    return Path(header=header(frame, 7), poses=poses)


@given(
    FRAMES,
    st.lists(st.tuples(FRAMES, st.integers(0, 2**60), unit), max_size=9),
    st.booleans(),
)
def test_it_says_what_the_message_says(frame: str, rows: list[tuple[str, int, float]], one_frame: bool) -> None:
    message = path([stamped(frame if one_frame else name, ns, angle) for name, ns, angle in rows], frame)
    read = path_from_bytes(serialize_message(message))
    assert read.frame_ids == [each.header.frame_id or frame for each in message.poses]
    assert read.stamps_ns == [stamp_to_ns(each.header.stamp) for each in message.poses]
    for T, each in zip(read.transforms(), message.poses, strict=True):
        torch.testing.assert_close(T, pose_from_message(each.pose), rtol=0, atol=1e-12)
    which = np.arange(len(rows))
    assert sorted(number for *_, chosen in read.groups() for number in which[chosen]) == which.tolist()


def test_of_the_other_byte_order() -> None:
    name = struct.pack(">I4s", 4, b"map")
    first = struct.pack(">iI", 1, 2) + name + bytes(4) + struct.pack(">7d", 1, 2, 3, 0, 0, 0, 1)
    second = struct.pack(">iI", 3, 4) + name + struct.pack(">7d", 4, 5, 6, 0, 0, 1, 0)
    read = path_from_bytes(b"\0\0\0\0" + struct.pack(">iI", 0, 0) + name + struct.pack(">I", 2) + first + second)
    assert read.stamps_ns == [1_000_000_002, 3_000_000_004]
    np.testing.assert_array_equal(read.positions, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(read.quaternions_xyzw, [[0, 0, 0, 1], [0, 0, 1, 0]])


@given(st.data())
def test_damaged_bytes_are_refused_or_read(data: st.DataObject) -> None:
    whole = bytearray(serialize_message(path([stamped("map", 5, 0.1 * i) for i in range(4)])))
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidPoseError):
        path_from_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))])).transforms()


def test_the_first_that_is_none_is_named() -> None:
    good, bad = stamped("map", 0, 0.1), stamped("map", 0, 0.1)
    bad.pose.orientation.w = 3.0
    with pytest.raises(InvalidPoseError, match=r"pose 3 of 4: .*normalise"):
        path_from_bytes(serialize_message(path([good, good, bad, bad]))).transforms()
