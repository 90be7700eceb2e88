"""Message classes of both libraries: every test of this folder runs with each that is here."""

from importlib import import_module
from importlib.util import find_spec

import pytest
from rosbags.typesys import Stores, get_typestore

from vmem_ros.messages.message_types import MessageTypes

_HAS_ROS = find_spec("rclpy") is not None and find_spec("sensor_msgs") is not None


@pytest.fixture(
    params=["rosbags", pytest.param("rclpy", marks=pytest.mark.skipif(not _HAS_ROS, reason="ROS 2 is not here"))]
)
def types(request) -> MessageTypes:
    if request.param == "rosbags":
        return MessageTypes.of_rosbags(get_typestore(Stores.ROS2_JAZZY))
    return _of_rclpy()


@pytest.fixture
def rclpy_types() -> MessageTypes:
    """For what other packages of ROS read or write."""
    if not _HAS_ROS:
        pytest.skip("ROS 2 is not here")
    return _of_rclpy()


def _of_rclpy() -> MessageTypes:
    return import_module("vmem_ros.nodes.interface.rclpy_messages").RCLPY


@pytest.fixture
def head(types):
    from vmem_ros.messages.stamps import header

    return header(types, "map", 1_500_000_002)
