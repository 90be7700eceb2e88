"""Clouds of the camera as arrays: read by ``sensor_msgs_py`` where a ROS installation has it, and here elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.clouds import cloud_from_message, unpacked_rgb
from vmem_ros.messages.stamps import stamp_to_ns

try:
    from sensor_msgs_py import point_cloud2
except ImportError:
    point_cloud2 = None

#: What reads clouds, in words.
CLOUD_READER = (
    "sensor_msgs_py.point_cloud2"
    if point_cloud2
    else "vmem_ros.messages.clouds (sensor_msgs_py is not installed: apt install ros-<distro>-sensor-msgs-py)"
)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """A coloured cloud.

    :param position: [N, 3] float32 in metres, in the frame ``frame_id``.
    :param color: [N, 3] uint8 RGB.
    :param fields: [N] of each other field by name: ``intensity`` (confidence) of a view's points; ``normal_x``,
        ``normal_y``, ``normal_z`` and ``radius`` of surfels.
    """

    position: NDArray[np.float32]
    color: NDArray[np.uint8]
    fields: Mapping[str, NDArray]
    frame_id: str
    stamp_ns: int

    def __len__(self) -> int:
        return len(self.position)


def read_cloud(message: Any) -> PointCloud:
    """Return the points of a ``sensor_msgs/msg/PointCloud2``.

    :raises InvalidImageError: truncated data, or a field that is missing or of a type that is not read.
    """
    fields = _fields(message)
    missing = [name for name in ("x", "y", "z", "rgb") if name not in fields]
    if missing:
        raise InvalidImageError(f"the cloud has no {', '.join(missing)}, only {', '.join(fields)}")
    position = np.stack([fields.pop(name) for name in "xyz"], axis=-1).astype(np.float32)
    color = fields.pop("rgb")
    return PointCloud(position, color, fields, message.header.frame_id, stamp_to_ns(message.header.stamp))


def _fields(message: Any) -> dict[str, NDArray]:
    if point_cloud2 is None:
        return cloud_from_message(message)
    try:
        records = point_cloud2.read_points(message)
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InvalidImageError(f"sensor_msgs_py cannot read the cloud: {error}") from error
    fields = {name: records[name].copy() for name in records.dtype.names or ()}
    if "rgb" in fields:
        fields["rgb"] = unpacked_rgb(fields["rgb"])
    return fields
