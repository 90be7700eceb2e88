"""One end of a link between two processes: sends images, or receives them and notes how long each was on its way.

    python -m vmem_ros.nodes.benchmarks.link send|receive --images 40 --side 576 --rate 20

Used by ``vmem bench dds``, which starts both ends with and without the Fast DDS profile of this package.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
import torch
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from vmem_ros.errors import NotReadyError
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.interface.rclpy_messages import header, image_to_message

_TOPIC = "bench/image"
_DEPTH = 5
_DISCOVERY_S, _LINGER_S = 60.0, 1.0


def send(node: Node, args: argparse.Namespace) -> None:
    """Publish images with the time of their publication as stamp, once somebody listens."""
    image = torch.randint(0, 256, (args.side, args.side, 3), dtype=torch.uint8)
    publisher = node.create_publisher(Image, _TOPIC, QoSProfile(depth=_DEPTH))
    _wait_until(lambda: publisher.get_subscription_count() > 0)
    time.sleep(_LINGER_S)  # the other side may not know this one yet
    for _ in range(args.images):
        publisher.publish(image_to_message(image, header("bench", time.time_ns())))
        time.sleep(1 / args.rate)
    time.sleep(_LINGER_S)


def receive(node: Node, args: argparse.Namespace) -> None:
    """Write the latencies in seconds as a JSON list, once all images have come or the sender is gone."""
    latencies: list[float] = []

    def note(message: Image) -> None:
        latencies.append((time.time_ns() - stamp_to_ns(message.header.stamp)) / 1e9)

    reliability = ReliabilityPolicy.BEST_EFFORT if args.best_effort else ReliabilityPolicy.RELIABLE
    node.create_subscription(Image, _TOPIC, note, QoSProfile(depth=_DEPTH, reliability=reliability))
    topic = node.resolve_topic_name(_TOPIC)
    _wait_until(lambda: node.count_publishers(topic) > 0)
    end = time.monotonic() + args.images / args.rate + _DISCOVERY_S
    while len(latencies) < args.images and node.count_publishers(topic) and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.5)
    args.out.write_text(json.dumps(latencies), encoding="utf-8")


def _wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the other end.

    :raises NotReadyError: it does not come.
    """
    end = time.monotonic() + _DISCOVERY_S
    while not condition():
        if time.monotonic() > end:
            raise NotReadyError(f"the other end of {_TOPIC} was not discovered within {_DISCOVERY_S:g} s")
        time.sleep(0.02)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one end; returns 0, also when images were lost: the list tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("end", choices=("send", "receive"))
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--side", type=int, required=True, help="pixels")
    parser.add_argument("--rate", type=float, required=True, help="images a second")
    parser.add_argument("--best-effort", action="store_true", help="receive without acknowledgement")
    parser.add_argument("--out", type=Path, help="where to write what was received")
    args = parser.parse_args(arguments)
    rclpy.init(args=[])
    node = rclpy.create_node(f"vmem_bench_{args.end}")
    try:
        (send if args.end == "send" else receive)(node, args)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
