"""Messages of rclpy out of arrays: the packers of :mod:`vmem_ros.messages`, bound to rclpy's classes."""

from __future__ import annotations

from array import array
from functools import cache, partial
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from vmem_ros.messages import camera_info, clouds, depth_compression, images, masks, stamps, transforms
from vmem_ros.messages.message_types import MessageTypes


@cache
def _find(name: str) -> Any:
    package, kind, message = name.split("/")
    return getattr(import_module(f"{package}.{kind}"), message)


def _array(values: NDArray) -> array:
    out = array(values.dtype.char)
    out.frombytes(values.view("u1").data)
    return out


RCLPY = MessageTypes(_find, _array)

ns_to_stamp = partial(stamps.ns_to_stamp, RCLPY)
header = partial(stamps.header, RCLPY)
image_to_message = partial(images.image_to_message, RCLPY)
map_to_message = partial(images.map_to_message, RCLPY)
mask_to_message = partial(masks.mask_to_message, RCLPY)
jpeg_to_message = partial(images.jpeg_to_message, RCLPY)
compressed_depth_to_message = partial(depth_compression.compressed_depth_to_message, RCLPY)
camera_to_message = partial(camera_info.camera_to_message, RCLPY)
pose_to_message = partial(transforms.pose_to_message, RCLPY)
transform_to_message = partial(transforms.transform_to_message, RCLPY)
elements_to_message = partial(clouds.elements_to_message, RCLPY)
points_to_message = partial(clouds.points_to_message, RCLPY)
