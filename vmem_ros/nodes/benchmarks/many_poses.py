"""Sends the camera node one path, or one goal, of very many poses; ends when that is received, or refused.

    python -m vmem_ros.nodes.benchmarks.many_poses path|goal --poses 100000

Used by ``vmem bench load``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Header

from vmem_ros.errors import NotReadyError
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.interface.delivery import wait_for_subscribers, wait_until_received
from vmem_ros.nodes.interface.names import ACTIONS, NAMESPACE, NODE_NAME, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.script import exit_status

_LIMIT_S = 60.0
_METRES = 10.0


def _poses(count: int) -> list[PoseStamped]:
    """Return poses along a straight line."""
    out = [PoseStamped(header=Header(frame_id="map")) for _ in range(count)]
    for number, pose in enumerate(out):
        pose.pose.position.x = _METRES * number / count
    return out


def send_path(node: Node, count: int) -> None:
    """Publish a path and wait until the node has it."""
    publisher = node.create_publisher(Path, f"/{NAMESPACE}/path", qos_profile(SUBSCRIBED["path"].qos))
    message = Path(header=Header(frame_id="map"), poses=_poses(count))
    wait_for_subscribers({"path": publisher}, timeout_s=_LIMIT_S)
    publisher.publish(message)
    wait_until_received({"path": publisher}, timeout_s=_LIMIT_S)
    time.sleep(1.0)  # what the node does with it


def send_goal(node: Node, count: int) -> None:
    """Send a goal and wait for its result, which says that it is too long.

    :raises NotReadyError: no answer.
    """
    action = ACTIONS["generate"]
    client = ThreadSafeActionClient(node, action.type, f"/{NAMESPACE}/{NODE_NAME}/{action.name}")
    goal = action.type.Goal(poses=_poses(count))
    client.wait_for_server(timeout_sec=_LIMIT_S)
    handle = _answer(node, client.send_goal_async(goal))
    _answer(node, handle.get_result_async())
    client.destroy()


def _answer(node: Node, future: Future) -> Any:
    rclpy.spin_until_future_complete(node, future, timeout_sec=_LIMIT_S)
    if not future.done():
        raise NotReadyError(f"no answer within {_LIMIT_S:g} s")
    return future.result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("path", "goal"))
    parser.add_argument("--poses", type=int, default=100_000, metavar="N", help="(default 100000)")
    args = parser.parse_args(arguments)
    rclpy.init(args=[])
    node = rclpy.create_node("vmem_many_poses")
    try:
        send = {"path": send_path, "goal": send_goal}[args.kind]
        return exit_status("many_poses", lambda: send(node, args.poses))
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
