"""Small bags of an RGB-D camera, made message by message so that tests can spoil any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_to_message
from vmem_ros.messages.images import image_to_message, map_to_message
from vmem_ros.messages.stamps import header
from vmem_ros.messages.transforms import T_LINK_OPTICAL, link_from_camera, pose_to_message, transform_to_message
from vmem_ros.recordings.bag_writer import BagWriter, Storage
from vmem_ros.types import View

OPTICAL, LINK, BASE, ODOM = "camera_optical_frame", "camera_link", "base_link", "odom"
COLOR, COLOR_INFO = "/camera/color/image_raw", "/camera/color/camera_info"
DEPTH, DEPTH_INFO = "/camera/depth/image_rect", "/camera/depth/camera_info"
#: Where the camera link sits on the robot.
T_BASE_LINK = torch.eye(4, dtype=torch.float64)
T_BASE_LINK[:3, 3] = torch.tensor([0.2, 0.0, 0.4])


@dataclass
class Bag:
    """A bag in the making: what is set here is written by :meth:`write`.

    :param messages: (topic, type, time of writing, how to make it, told the message classes).
    """

    messages: list[tuple[str, str, int, Callable[[Any], Any]]] = field(default_factory=list)

    def add(self, topic: str, kind: str, written_ns: int, make: Callable[[Any], Any]) -> None:
        """Put in one message."""
        self.messages.append((topic, kind, written_ns, make))

    def color(self, view: View, *, topic: str = COLOR, frame: str = OPTICAL, lens: Sequence[float] = ()) -> None:
        """Put in an image and its intrinsics.

        :param lens: coefficients of ``plumb_bob``.
        """
        now = view.stamp_ns
        self.add(topic, "sensor_msgs/msg/Image", now, lambda t: image_to_message(t, view.image, header(t, frame, now)))
        self.info(view.camera, now, topic=f"{topic.rsplit('/', 1)[0]}/camera_info", frame=frame, lens=lens)

    def info(self, camera: Camera, now: int, *, topic: str, frame: str = OPTICAL, lens: Sequence[float] = ()) -> None:
        """Put in intrinsics."""

        def make(types: Any) -> Any:
            message = camera_to_message(types, camera, header(types, frame, now))
            if len(lens):
                message.d = np.asarray(lens, np.float64)
            return message

        self.add(topic, "sensor_msgs/msg/CameraInfo", now, make)

    def depth(
        self, view: View, *, topic: str = DEPTH, frame: str = OPTICAL, skew_ns: int = 0, millimetres: bool = False
    ) -> None:
        """Put in the depth of a view, without intrinsics.

        :param skew_ns: by which the clock of depth is late.
        """
        now = view.stamp_ns + skew_ns

        def make(types: Any) -> Any:
            message = map_to_message(types, view.depth, header(types, frame, now))
            if millimetres:
                units = (view.depth.numpy() * 1000).round().astype("<u2")
                message.encoding, message.step, message.data = "16UC1", 2 * units.shape[1], units.view(np.uint8).ravel()
            return message

        self.add(topic, "sensor_msgs/msg/Image", now, make)

    def color_compressed(self, view: View, *, topic: str = COLOR) -> None:
        """Put in an image as PNG, without intrinsics."""
        data = cv2.imencode(".png", view.image.numpy()[..., ::-1])[1]
        self._compressed(f"{topic}/compressed", view.stamp_ns, "rgb8; png compressed bgr8", data)

    def depth_compressed(self, view: View, *, topic: str = DEPTH) -> None:
        """Put in depth in millimetres as image_transport compresses it."""
        data = cv2.imencode(".png", (view.depth.numpy() * 1000).round().astype(np.uint16))[1]
        data = np.concatenate([np.zeros(12, np.uint8), data])
        self._compressed(f"{topic}/compressedDepth", view.stamp_ns, "16UC1; compressedDepth png", data)

    def _compressed(self, topic: str, now: int, form: str, data: np.ndarray) -> None:
        kind = "sensor_msgs/msg/CompressedImage"
        self.add(topic, kind, now, lambda t: t.make(kind, header=header(t, OPTICAL, now), format=form, data=data))

    def transform(
        self, T: torch.Tensor, now: int, *, parent: str = ODOM, child: str = OPTICAL, static: bool = False
    ) -> None:
        """Put in a message of /tf or /tf_static."""
        topic = "/tf_static" if static else "/tf"
        self.add(
            topic,
            "tf2_msgs/msg/TFMessage",
            now,
            lambda types: types.make(
                "tf2_msgs/msg/TFMessage",
                transforms=[transform_to_message(types, T, header(types, parent, now), child)],
            ),
        )

    def mounted(self, now: int) -> None:
        """Put in where the camera sits on the robot."""
        self.transform(T_BASE_LINK, now, parent=BASE, child=LINK, static=True)
        self.transform(T_LINK_OPTICAL, now, parent=LINK, child=OPTICAL, static=True)

    def pose(self, T: torch.Tensor, now: int, *, topic: str = "/pose") -> None:
        """Put in a ``PoseStamped``."""
        self.add(
            topic,
            "geometry_msgs/msg/PoseStamped",
            now,
            lambda types: types.make(
                "geometry_msgs/msg/PoseStamped", header=header(types, ODOM, now), pose=pose_to_message(types, T)
            ),
        )

    def odometry(self, T: torch.Tensor, now: int, *, child: str = BASE) -> None:
        """Put in an ``Odometry``."""

        def make(types: Any) -> Any:
            zero = types.make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
            twist = types.make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
            covariance = np.zeros(36)
            return types.make(
                "nav_msgs/msg/Odometry",
                header=header(types, ODOM, now),
                child_frame_id=child,
                pose=types.make(
                    "geometry_msgs/msg/PoseWithCovariance", pose=pose_to_message(types, T), covariance=covariance
                ),
                twist=types.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=covariance),
            )

        self.add("/odom", "nav_msgs/msg/Odometry", now, make)

    def write(self, folder: Path, *, storage: Storage = "mcap") -> Path:
        """Write all messages in the order of their times and return the folder."""
        with BagWriter(folder, storage=storage) as bag:
            for topic, kind in dict.fromkeys((topic, kind) for topic, kind, _, _ in self.messages):
                bag.add_topic(topic, kind)
            for topic, _, written_ns, make in sorted(self.messages, key=lambda m: m[2]):
                bag.write_message(topic, written_ns, make(bag.message_types))
        return folder


def rgbd(views: Sequence[View], *, skew_ns: int = 0) -> Bag:
    """Return the bag of a camera with registered depth whose poses are on /tf at the times of its images."""
    bag = Bag()
    for view in views:
        bag.color(view)
        bag.depth(view, skew_ns=skew_ns)
        bag.transform(view.T_world_camera, view.stamp_ns)
    return bag


def base_of(view: View) -> torch.Tensor:
    """Return the pose of the robot that carries the camera of a view."""
    return link_from_camera(view.T_world_camera) @ torch.linalg.inv(T_BASE_LINK)
