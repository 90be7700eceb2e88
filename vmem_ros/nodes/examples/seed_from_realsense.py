"""Play a RealSense camera that a robot carries through two rooms, and say what the memory takes of it.

Topics, encodings and frames are those of realsense2_camera with ``align_depth.enable:=true``, and ``map`` is where the
robot's odometry would put it. With a camera of your own, launch with ``play:=false``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import rclpy
import torch
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from vmem_ros.errors import MissingPackageError, NotReadyError
from vmem_ros.geometry import invert
from vmem_ros.messages.transforms import T_LINK_OPTICAL
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms
from vmem_ros.nodes.interface.delivery import wait_for_subscribers, wait_until_received
from vmem_ros.nodes.interface.rclpy_messages import (
    RCLPY,
    camera_to_message,
    header,
    image_to_message,
    transform_to_message,
)
from vmem_ros.types import View

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

_CAMERA = "/camera/camera"
_COLOR, _INFO, _DEPTH = (
    f"{_CAMERA}/color/image_raw",
    f"{_CAMERA}/color/camera_info",
    f"{_CAMERA}/aligned_depth_to_color/image_raw",
)
_LINK, _COLOR_FRAME, _OPTICAL = "camera_link", "camera_color_frame", "camera_color_optical_frame"
# The colour camera sits beside the middle of the housing.
_T_LINK_COLOR = torch.eye(4, dtype=torch.float64)
_T_LINK_COLOR[1, 3] = 0.015
_IMAGE_QOS, _FOUND_S, _RECEIVED_S = QoSProfile(depth=5), 60.0, 30.0
_TRIES, _TRY_S = 10, 3.0


class RealSense(Node):
    """Publishes views as the driver does: colour, depth aligned to it in millimetres, intrinsics, and frames on TF.

    :raises MissingPackageError: ROS's ``tf2_msgs`` is not installed.
    """

    def __init__(self, context: Context) -> None:
        if TFMessage is None:
            raise MissingPackageError("tf2_msgs is not installed: apt install ros-<distro>-tf2-msgs")
        super().__init__("camera", namespace="camera", context=context, start_parameter_services=False)
        kinds = {_COLOR: Image, _INFO: CameraInfo, _DEPTH: Image}
        self._images = {topic: self.create_publisher(kind, topic, _IMAGE_QOS) for topic, kind in kinds.items()}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf = self.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        fixed = self.create_publisher(TFMessage, "/tf_static", latched)
        color = transform_to_message(_T_LINK_COLOR, header(_LINK, 0), _COLOR_FRAME)
        optical = transform_to_message(T_LINK_OPTICAL, header(_COLOR_FRAME, 0), _OPTICAL)
        fixed.publish(TFMessage(transforms=[color, optical]))

    def wait_for_camera(self) -> None:
        """Wait until somebody hears the images.

        :raises NotReadyError: nobody does.
        """
        wait_for_subscribers(self._images, timeout_s=_FOUND_S)

    def publish(self, view: View) -> None:
        """Publish one view, and where the camera is then."""
        stamp_ns = self.get_clock().now().nanoseconds
        T_map_link = view.T_world_camera @ invert(_T_LINK_COLOR @ T_LINK_OPTICAL)
        self._tf.publish(TFMessage(transforms=[transform_to_message(T_map_link, header("map", stamp_ns), _LINK)]))
        head = header(_OPTICAL, stamp_ns)
        self._images[_INFO].publish(camera_to_message(view.camera, head))
        self._images[_COLOR].publish(image_to_message(view.image, head))
        self._images[_DEPTH].publish(_millimetres(np.asarray(view.depth), head))
        wait_until_received(self._images, timeout_s=_RECEIVED_S)


def _millimetres(depth: np.ndarray, head: object) -> Image:
    """Return metres as ``16UC1``; 0 is unknown."""
    height, width = depth.shape
    units = np.nan_to_num(depth * 1000.0, nan=0.0, posinf=0.0).round().astype(np.uint16)
    return Image(header=head, height=height, width=width, encoding="16UC1", step=2 * width, data=RCLPY.bytes_of(units))


def play(args: argparse.Namespace) -> None:
    """Show the rooms through the played camera, each view until the memory holds it."""
    rooms, context = Rooms(args.width), Context()
    views = rooms.views()
    rclpy.init(args=[], context=context)
    try:
        with CameraClient(args.namespace) as camera:
            realsense = RealSense(context)
            before = camera.wait_until_ready().stored_views
            realsense.wait_for_camera()
            for number, view in enumerate(views, 1):
                _publish_until_stored(realsense, camera, view, before + number)
                print(f"view {number} of {len(views)} is in the memory", flush=True)
            shown = camera.render(rooms.loop[0], images=False)
            print(f"where the robot never was, {shown.seen:.0%} of the picture is remembered")
    finally:
        context.try_shutdown()


def _publish_until_stored(realsense: RealSense, camera: CameraClient, view: View, views: int) -> None:
    """Publish a view again and again, as a real camera does anyway, until so many are stored."""
    for _ in range(_TRIES):
        realsense.publish(view)
        try:
            camera.wait_for(lambda status: status.stored_views >= views, timeout_s=_TRY_S)
        except NotReadyError:
            continue
        return
    raise NotReadyError(
        f"the camera node did not take a view within {_TRIES * _TRY_S:g} s: is it launched with the topics of a "
        "RealSense, as seed_from_realsense.launch.xml does? Look at its log"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play once and stop."""
    return program.run("seed_from_realsense", __doc__, play, arguments)


if __name__ == "__main__":
    sys.exit(main())
