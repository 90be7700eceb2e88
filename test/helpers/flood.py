"""Many requests at once from one process: ``python flood.py render|generate COUNT`` prints how many were answered how.

Their clients keep as many answers as they have asked for: rclpy's own depth of 10 loses those that come faster than
they are read.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from vmem_ros.action import GenerateViews
from vmem_ros.srv import RenderView

from vmem_ros.nodes.client.action_client import ThreadSafeActionClient

_NODE = "/vmem/vmem_camera"
_PATIENCE_S = 30.0


def renders(node: Node, count: int) -> list[int]:
    """Return the error codes of the answers to as many renderings."""
    client = node.create_client(RenderView, f"{_NODE}/render", qos_profile=QoSProfile(depth=2 * count))
    assert client.wait_for_service(timeout_sec=_PATIENCE_S)
    request = RenderView.Request(pose=_pose(-0.8))
    _wait_for(node, client.call_async(request))  # the service knows this client from now on
    return [answer.error_code for answer in _answers(node, [client.call_async(request) for _ in range(count)])]


def goals(node: Node, count: int) -> list[int]:
    """Return the error codes of the results of as many goals."""
    qos = QoSProfile(depth=2 * count)
    client = ThreadSafeActionClient(
        node, GenerateViews, f"{_NODE}/generate", goal_service_qos_profile=qos, result_service_qos_profile=qos
    )
    assert client.wait_for_server(timeout_sec=_PATIENCE_S)
    known = _wait_for(node, client.send_goal_async(GenerateViews.Goal()))
    _wait_for(node, known.get_result_async())
    sent = [client.send_goal_async(GenerateViews.Goal(poses=[_pose(-0.8 + 0.001 * number)])) for number in range(count)]
    handles = [handle for handle in _answers(node, sent) if handle.accepted]
    results = _answers(node, [handle.get_result_async() for handle in handles])
    client.destroy()
    return [answer.result.error_code for answer in results]


def _pose(x: float) -> PoseStamped:
    pose = PoseStamped()
    pose.pose.position.x = x
    return pose


def _wait_for(node: Node, future: Future) -> Any:
    rclpy.spin_until_future_complete(node, future, timeout_sec=_PATIENCE_S)
    assert future.done()
    return future.result()


def _answers(node: Node, futures: list[Future]) -> list[Any]:
    """Return what came, once all has come, or nothing more does."""
    end = time.monotonic() + _PATIENCE_S
    while not all(future.done() for future in futures) and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.5)
    return [future.result() for future in futures if future.done()]


def main() -> None:
    kind, count = sys.argv[1], int(sys.argv[2])
    rclpy.init(args=[])
    node = rclpy.create_node(f"flood_of_{kind}")
    codes = {"render": renders, "generate": goals}[kind](node, count)
    print(json.dumps(Counter(codes)))
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
