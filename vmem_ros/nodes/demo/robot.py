"""A robot that drives through two rooms of a procedural house and streams its camera into the world's memory.

Any robot whose driver publishes an image, its CameraInfo and registered depth does the same with remappings alone; and
one without depth, if the camera node has ``seed.depth: false`` and an estimator of depth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from tqdm import tqdm

from vmem_ros.errors import NotReadyError
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.delivery import wait_for_subscribers, wait_until_received
from vmem_ros.nodes.interface.names import NAMESPACE, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    pose_to_message,
)
from vmem_ros.nodes.interface.script import exit_status
from vmem_ros.showcase.scenario_options import add_scenario_options, scenario_from_options
from vmem_ros.types import View

DEMO_HOUSE = 1_000_013
_FRAME = "robot_camera_optical_frame"
# What it publishes of what the camera hears.
_SEEDS = ("seed/image", "seed/camera_info", "seed/depth", "seed/pose")
_TRIES, _TRY_S = 5, 3.0
# A depth network takes its time, and an image that is sent twice is remembered twice.
_ESTIMATE_S = 60.0
_FOUND_S, _RECEIVED_S = 60.0, 30.0


class RobotCamera(Node):
    """Publishes views as the driver of an RGB-D or RGB camera does, and the pose of the camera link in the map.

    :param has_depth: whether it measures depth.
    """

    def __init__(self, context: Context, *, has_depth: bool) -> None:
        super().__init__("demo_robot", namespace=NAMESPACE, context=context, start_parameter_services=False)
        self._publishers_by_topic = {
            name: self.create_publisher(topic.type, name, qos_profile(topic.qos))
            for name, topic in SUBSCRIBED.items()
            if name in _SEEDS and (has_depth or name != "seed/depth")
        }

    def wait_for_subscribers(self, count: int) -> None:
        """Wait until so many nodes subscribe to each topic.

        :raises NotReadyError: they do not come.
        """
        wait_for_subscribers(self._publishers_by_topic, count, timeout_s=_FOUND_S)

    def wait_until_received(self) -> None:
        """Wait until the subscribers have what was published."""
        wait_until_received(self._publishers_by_topic, timeout_s=_RECEIVED_S)

    def publish(self, view: View) -> None:
        """Publish one view: image, intrinsics, depth if there is any, and pose with one stamp."""
        stamp_ns = self.get_clock().now().nanoseconds
        head = header(_FRAME, stamp_ns)
        pose = PoseStamped(header=header("map", stamp_ns), pose=pose_to_message(link_from_camera(view.T_world_camera)))
        messages = {
            "seed/pose": pose,
            "seed/camera_info": camera_to_message(view.camera, head),
            "seed/image": image_to_message(view.image, head),
        }
        if view.depth is not None:
            messages["seed/depth"] = map_to_message(view.depth, head)
        for name, message in messages.items():
            self._publishers_by_topic[name].publish(message)


def drive(robot: RobotCamera, camera: CameraClient, views: Sequence[View]) -> None:
    """Stream views one by one, each until the memory holds it.

    :raises NotReadyError: the camera node does not take them.
    """
    camera.wait_until_ready()
    for view in tqdm(views, desc="robot drives", unit="view"):
        _publish_until_stored(robot, camera, view)
    robot.wait_until_received()


def _publish_until_stored(robot: RobotCamera, camera: CameraClient, view: View) -> None:
    before = camera.wait_for(lambda status: True).stored_views
    timeout_s = _ESTIMATE_S if view.depth is None else _TRY_S
    for _ in range(_TRIES):
        robot.publish(view)
        try:
            camera.wait_for(lambda status: status.stored_views > before, timeout_s=timeout_s)
        except NotReadyError:
            continue  # sent before the two had found each other: a real camera sends again anyway
        return
    raise NotReadyError(f"the camera node did not take a view within {_TRIES * timeout_s:g} s: look at its log")


def main(arguments: Sequence[str] | None = None) -> int:
    """Drive once and stop."""
    given = list(sys.argv if arguments is None else ["demo_robot", *arguments])
    parser = argparse.ArgumentParser(prog="demo_robot", description=__doc__)
    add_scenario_options(parser, default_house=DEMO_HOUSE)
    parser.add_argument(
        "--subscribers",
        type=int,
        default=1,
        help="wait until so many nodes listen, say the camera and a recorder (default 1)",
    )
    args = parser.parse_args(remove_ros_args(given)[1:])
    context = Context()

    def look_and_drive() -> None:
        rclpy.init(args=given, context=context)
        scenario = scenario_from_options(args)
        views = [scenario.observe(target) for target in tqdm(scenario.robot, desc="robot's camera", unit="view")]
        robot = RobotCamera(context, has_depth=scenario.has_depth)
        robot.wait_for_subscribers(args.subscribers)
        with CameraClient(robot.get_namespace()) as camera:
            drive(robot, camera, views)

    try:
        return exit_status("demo_robot", look_and_drive)
    finally:
        context.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
