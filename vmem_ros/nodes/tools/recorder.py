"""Records the camera's topics into an MCAP file: ``ros2 bag record`` for machines that have no ROS tools.

python -m vmem_ros.nodes.tools.recorder --out recording            (of another namespace: --ros-args -r __ns:=/other)
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from vmem_ros.nodes.interface.names import (
    COMPRESSED,
    NAMESPACE,
    NODE_NAME,
    PUBLISHED,
    SUBSCRIBED,
    Topic,
    message_type_name,
    qos_profile,
)
from vmem_ros.nodes.interface.script import SIGNAL_POLL_S, event_of_signals, exit_status
from vmem_ros.nodes.interface.subscription import EitherType, Subscribed
from vmem_ros.recordings.bag_writer import BagWriter

# Previews, points and compressed views cost the camera time while somebody subscribes to them, and follow from what is
# recorded.
_LEFT_OUT = ("preview/", "camera/points", "camera/image_raw/compressed", "camera/depth/image_rect/compressedDepth")
_OWN_MESSAGES = "vmem_ros/msg/"
_QUEUE = 200
_LOOK_S = 0.1
_DRAIN_S, _QUIET_TURNS = 10.0, 5


class Recorder(Node):
    """Writes every message of the camera, and every command and seed sent to it, as it comes over the wire.

    :param folder: of the bag, see :class:`~vmem_ros.recordings.bag_writer.BagWriter`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__("vmem_recorder", namespace=NAMESPACE)
        table = (*PUBLISHED.values(), *SUBSCRIBED.values(), *COMPRESSED.values())
        topics = [t for t in table if not t.name.startswith(_LEFT_OUT)]
        own = {name for name in map(message_type_name, (t.type for t in topics)) if name.startswith(_OWN_MESSAGES)}
        share = Path(get_package_share_directory("vmem_ros"))
        definitions = {name: (share / f"{name.partition('/')[2]}.msg").read_text(encoding="utf-8") for name in own}
        self._recording = BagWriter(folder, definitions=definitions)
        #: Messages so far.
        self.written = 0
        for topic in topics:
            name = topic.name.replace("~", NODE_NAME, 1)
            if topic.alternative is None:
                self._record(name, topic.type, self._latched(topic))
            else:
                self._record_either(name, topic)
        self._record_transforms()
        self.get_logger().info(f"recording {len(topics)} topics to {folder}")

    def close(self) -> None:
        """Complete the file."""
        self._recording.close()

    def _latched(self, topic: Topic) -> bool:
        return qos_profile(topic.qos).durability == DurabilityPolicy.TRANSIENT_LOCAL

    def _record_transforms(self) -> None:
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.get_logger().warning("tf2_msgs is not installed: /tf and /tf_static are not recorded")
            return
        self._record("/tf", TFMessage, False)
        self._record("/tf_static", TFMessage, True)

    def _record(self, name: str, message_type: type, latched: bool) -> None:
        topic = self.resolve_topic_name(name)
        self._recording.add_topic(topic, message_type_name(message_type), latched=latched)
        Subscribed(self, message_type, topic, partial(self._write, topic), _qos(latched), raw=True)

    def _record_either(self, name: str, row: Topic) -> None:
        """Record whichever type is published, once something is."""
        topic = self.resolve_topic_name(name)

        def write(data: bytes) -> None:
            self._recording.add_topic(topic, either.heard)
            self._write(topic, data)

        subscribed = Subscribed(self, row.type, topic, write, _qos(latched=False), raw=True)
        either = EitherType(self, subscribed, {message_type_name(kind): kind for kind in (row.type, row.alternative)})
        self.create_timer(_LOOK_S, either.look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _write(self, topic: str, data: bytes) -> None:
        self._recording.write(topic, self.get_clock().now().nanoseconds, data)
        self.written += 1


def _qos(latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_QUEUE,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Record until SIGINT or SIGTERM and return the exit code: 0, or 1 if it cannot be written."""
    given = list(sys.argv if arguments is None else ["recorder", *arguments])
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the recording; an older one is replaced")
    args = parser.parse_args(remove_ros_args(given)[1:])
    stop = event_of_signals()
    rclpy.init(args=given, signal_handler_options=SignalHandlerOptions.NO)
    try:
        return exit_status("recorder", lambda: record(args.out, stop), errors=(OSError,))
    finally:
        rclpy.try_shutdown()


def record(folder: Path, stop: threading.Event) -> None:
    """Record until ``stop`` is set, then write what has come already and complete the file.

    :raises OSError: it cannot be written, or the folder holds something else.
    """
    recorder = Recorder(folder)
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=SIGNAL_POLL_S)
        end, quiet = time.monotonic() + _DRAIN_S, 0
        # Turns, not time: on a busy machine half a second may pass between two of them.
        while quiet < _QUIET_TURNS and time.monotonic() < end:
            before = recorder.written
            executor.spin_once(timeout_sec=SIGNAL_POLL_S)
            quiet = quiet + 1 if recorder.written == before else 0
    finally:
        executor.shutdown()
        recorder.close()


if __name__ == "__main__":
    sys.exit(main())
