"""Send a plan as Nav2 does and hear of the views along it: topics alone, as any node would."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from torch import Tensor
from vmem_ros.msg import Retrieval

from vmem_ros.errors import NotReadyError
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms
from vmem_ros.nodes.interface.delivery import wait_for_subscribers
from vmem_ros.nodes.interface.names import qos_profile
from vmem_ros.nodes.interface.rclpy_messages import header, pose_to_message

_POSES, _FOUND_S, _ARRIVES_S = 4, 60.0, 600.0
_SAME_PLACE_M = 0.01


class PlanFollower(Node):
    """Publishes a plan, and prints a line for each view that is drawn along it."""

    def __init__(self, namespace: str, context: Context) -> None:
        super().__init__("plan_follower", namespace=namespace, context=context)
        #: Done when the view at the goal is drawn; the number of views.
        self.arrived = Future()
        self._views = 0
        self._goal = PoseStamped()
        self._publisher = self.create_publisher(Path, "path", qos_profile("command"))
        # Beside each image of camera/image_raw, with its stamp: where it is, and what it was drawn from.
        self.create_subscription(Retrieval, "memory/retrieval", self._on_view, qos_profile("events"))

    def send(self, poses: Sequence[Tensor]) -> None:
        """Publish a plan through places of a camera, ``T_world_camera``.

        :raises NotReadyError: no camera node listens.
        """
        wait_for_subscribers({self._publisher.topic_name: self._publisher}, timeout_s=_FOUND_S)
        head = header("map", 0)
        plan = [PoseStamped(header=head, pose=pose_to_message(link_from_camera(T))) for T in poses]
        self._goal = plan[-1]
        self._publisher.publish(Path(header=head, poses=plan))

    def _on_view(self, message: Retrieval) -> None:
        self._views += 1
        at, goal = message.pose.position, self._goal.pose.position
        print(
            f"view {self._views} at ({at.x:.2f}, {at.y:.2f}, {at.z:.2f}): {message.remembered:.0%} remembered, "
            f"drawn from {len(message.view_ids)} views",
            flush=True,
        )
        if max(abs(at.x - goal.x), abs(at.y - goal.y), abs(at.z - goal.z)) < _SAME_PLACE_M:
            self.arrived.set_result(self._views)


def follow(args: argparse.Namespace) -> None:
    """Show the camera two rooms, send a plan, and wait for its views.

    :raises NotReadyError: they do not come.
    """
    rooms, context = Rooms(args.width), Context()
    with CameraClient(args.namespace) as camera:
        rooms.show(camera)
    rclpy.init(args=[], context=context)
    try:
        follower, executor = PlanFollower(args.namespace, context), SingleThreadedExecutor(context=context)
        follower.send(rooms.loop[:_POSES])
        rclpy.spin_until_future_complete(follower, follower.arrived, executor, timeout_sec=_ARRIVES_S)
        if not follower.arrived.done():
            raise NotReadyError(f"the view at the goal did not come within {_ARRIVES_S:g} s: look at the camera's log")
        print(f"arrived: {follower.arrived.result()} views along the plan")
    finally:
        context.try_shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow one plan and stop."""
    return program.run("follow_plan", __doc__, follow, arguments)


if __name__ == "__main__":
    sys.exit(main())
