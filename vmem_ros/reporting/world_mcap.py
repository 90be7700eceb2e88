"""The views of a world as the messages that the ROS camera would have published, for Foxglove and ``ros2 bag play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera, quaternion_xyzw
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.reporting.mcap import Recording
from vmem_ros.reporting.sample import Sample

_WORLD, _OPTICAL = "map", "vmem_generated_optical_frame"
# Camera link axes (x forward, y left, z up; REP-103) in the optical frame (x right, y down, z forward).
_OPTICAL_LINK = torch.tensor(
    [[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64
)
_TOPICS = {
    "/vmem/camera/image_raw": "sensor_msgs/msg/Image",
    "/vmem/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/vmem/camera/depth/image_rect": "sensor_msgs/msg/Image",
    "/vmem/camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/vmem/camera/confidence": "sensor_msgs/msg/Image",
    "/vmem/pose": "geometry_msgs/msg/PoseStamped",
    "/tf": "tf2_msgs/msg/TFMessage",
}
_LATCHED = {"/vmem/memory/surfels": "sensor_msgs/msg/PointCloud2", "/vmem/memory/path": "nav_msgs/msg/Path"}


def write_recording(folder: Path, shots: Sequence[Sample], surfels: SurfelCloud, *, start_ns: int) -> None:
    """Write shots and the surfel cloud as a recording, on the topics and in the frames of the ROS camera.

    :param start_ns: time of the first message; a view follows every 200 ms.
    """
    with Recording(folder) as recording:
        for topic, message_type in _TOPICS.items():
            recording.add_topic(topic, message_type)
        for topic, message_type in _LATCHED.items():
            recording.add_topic(topic, message_type, latched=True)
        messages = _Messages(recording.types.types)
        poses = []
        for i, shot in enumerate(shots):
            now = start_ns + i * 200_000_000
            view, optical = shot.view, messages.header(_OPTICAL, now)
            poses.append(messages.pose(view.T_world_camera @ _OPTICAL_LINK, messages.header(_WORLD, now)))
            recording.write_message("/tf", now, messages.transform(view.T_world_camera, messages.header(_WORLD, now)))
            recording.write_message("/vmem/pose", now, poses[-1])
            info = messages.camera_info(view.camera, optical)
            recording.write_message("/vmem/camera/camera_info", now, info)
            recording.write_message("/vmem/camera/image_raw", now, messages.image(view.image, "rgb8", optical))
            recording.write_message("/vmem/camera/confidence", now, messages.image(shot.confidence, "32FC1", optical))
            if view.depth is not None:
                recording.write_message("/vmem/camera/depth/camera_info", now, info)
                recording.write_message(
                    "/vmem/camera/depth/image_rect", now, messages.image(view.depth, "32FC1", optical)
                )
        head = messages.header(_WORLD, now)
        recording.write_message("/vmem/memory/surfels", now, messages.surfels(surfels, head))
        recording.write_message("/vmem/memory/path", now, messages.path(poses, head))


class _Messages:
    """Messages of the types in a rosbags type store."""

    def __init__(self, types: Any) -> None:
        self._types = types

    def header(self, frame_id: str, stamp_ns: int) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def pose(self, T: Tensor, header: Any) -> Any:
        x, y, z, w = map(float, quaternion_xyzw(T))
        pose = self._types["geometry_msgs/msg/Pose"](
            position=self._types["geometry_msgs/msg/Point"](*map(float, T[:3, 3])),
            orientation=self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
        )
        return self._types["geometry_msgs/msg/PoseStamped"](header=header, pose=pose)

    def path(self, poses: list[Any], header: Any) -> Any:
        return self._types["nav_msgs/msg/Path"](header=header, poses=poses)

    def transform(self, T_world_camera: Tensor, header: Any) -> Any:
        x, y, z, w = map(float, quaternion_xyzw(T_world_camera))
        transform = self._types["geometry_msgs/msg/Transform"](
            translation=self._types["geometry_msgs/msg/Vector3"](*map(float, T_world_camera[:3, 3])),
            rotation=self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
        )
        stamped = self._types["geometry_msgs/msg/TransformStamped"](
            header=header, child_frame_id=_OPTICAL, transform=transform
        )
        return self._types["tf2_msgs/msg/TFMessage"](transforms=[stamped])

    def image(self, values: Tensor, encoding: str, header: Any) -> Any:
        array = np.ascontiguousarray(values.cpu().numpy())
        return self._types["sensor_msgs/msg/Image"](
            header=header,
            height=array.shape[0],
            width=array.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=array.strides[0],
            data=array.view(np.uint8).reshape(-1),
        )

    def camera_info(self, camera: Camera, header: Any) -> Any:
        K = camera.K.numpy().copy()
        K[:2, 2] -= 0.5  # ROS puts pixel centres at integers
        no_roi = self._types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._types["sensor_msgs/msg/CameraInfo"](
            header=header,
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=K.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.concatenate([K, np.zeros((3, 1))], axis=1).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=no_roi,
        )

    def surfels(self, surfels: SurfelCloud, header: Any) -> Any:
        names = ("x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z", "radius")
        records = np.empty((len(surfels), len(names)), "<f4")
        records[:, :3], records[:, 4:7] = surfels.position.cpu().numpy(), surfels.normal.cpu().numpy()
        records[:, 7] = surfels.radius.cpu().numpy()
        red, green, blue = surfels.color.cpu().numpy().astype("<u4").T
        records[:, 3] = (red << 16 | green << 8 | blue).view("<f4")
        float32 = self._types["sensor_msgs/msg/PointField"].FLOAT32
        return self._types["sensor_msgs/msg/PointCloud2"](
            header=header,
            height=1,
            width=len(records),
            fields=[
                self._types["sensor_msgs/msg/PointField"](name=name, offset=4 * i, datatype=float32, count=1)
                for i, name in enumerate(names)
            ],
            is_bigendian=False,
            point_step=4 * len(names),
            row_step=records.nbytes,
            data=records.view(np.uint8).reshape(-1),
            is_dense=True,
        )
