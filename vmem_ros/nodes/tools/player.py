"""Plays a recording's seeds into a camera's memory: ``ros2 bag play`` for machines that have no ROS tools.

python -m vmem_ros.nodes.tools.player recording

Topics keep the names that they were recorded with. ``--ros-args -r /vmem/seed/image:=/other/seed/image``, and so for
each ``seed/*``, plays into another namespace.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError
from tqdm import tqdm

from vmem_ros.errors import RecordingError, VmemError
from vmem_ros.nodes.interface.delivery import wait_for_subscribers, wait_until_received
from vmem_ros.nodes.interface.names import COMPRESSED, SUBSCRIBED, message_type_name, qos_profile
from vmem_ros.nodes.interface.script import exit_status

_SEEDS = {t.name: t for t in (*SUBSCRIBED.values(), *COMPRESSED.values()) if t.name.startswith("seed/")}
_FOUND_S, _RECEIVED_S = 60.0, 30.0


class Player(Node):
    """Publishes the messages of a recording's ``seed/*`` topics as they were recorded: same bytes, stamps and pace.

    :param folder: of the recording, as ``ros2 bag record`` and
        :class:`~vmem_ros.nodes.tools.recorder.Recorder` write it.
    :param rate: times the recorded pace.
    :raises RecordingError: no recording, or one without seeds.
    """

    def __init__(self, folder: Path, *, rate: float = 1.0, context: Context | None = None) -> None:
        super().__init__("vmem_player", context=context, start_parameter_services=False)
        if not rate > 0:
            raise ValueError(f"rate must be positive, got {rate:g}")
        self._folder = folder
        self._rate = rate
        try:
            with Reader(folder) as bag:
                found = {
                    c.topic: name for c in bag.connections if c.msgcount and (name := _seed_of(c.topic, c.msgtype))
                }
                self.messages = sum(c.msgcount for c in bag.connections if c.topic in found)
        except (ReaderError, OSError) as error:
            raise RecordingError(f"{folder} is no recording that can be read: {error}") from error
        if not found:
            raise RecordingError(
                f"{folder} has no messages of {', '.join(sorted(_SEEDS))}: record them with python -m "
                "vmem_ros.nodes.tools.recorder, or ros2 bag record"
            )
        self._publishers_by_topic = {
            topic: self.create_publisher(_SEEDS[name].type, topic, qos_profile(_SEEDS[name].qos))
            for topic, name in found.items()
        }

    def play(self) -> Iterator[str]:
        """Publish all of it, once there are subscribers, and yield the topic of each message.

        :raises NotReadyError: nobody subscribes.
        """
        wait_for_subscribers(self._publishers_by_topic, timeout_s=_FOUND_S)
        with Reader(self._folder) as bag:
            chosen = [c for c in bag.connections if c.topic in self._publishers_by_topic]
            first, began = None, time.monotonic()
            for connection, stamp_ns, data in bag.messages(connections=chosen):
                first = stamp_ns if first is None else first
                due = began + (stamp_ns - first) * 1e-9 / self._rate
                time.sleep(max(0.0, due - time.monotonic()))
                publisher: Any = self._publishers_by_topic[connection.topic]
                publisher.publish(bytes(data))
                yield connection.topic
        wait_until_received(self._publishers_by_topic, timeout_s=_RECEIVED_S)


def _seed_of(topic: str, message_type: str) -> str | None:
    """Return which ``seed/...`` a recorded topic is, whatever its namespace."""
    for name, seed in _SEEDS.items():
        if f"/{topic}".endswith(f"/{name}") and message_type == message_type_name(seed.type):
            return name
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Play once and stop."""
    given = list(sys.argv if arguments is None else ["player", *arguments])
    parser = argparse.ArgumentParser(prog="player", description=__doc__)
    parser.add_argument("recording", type=Path, help="folder with metadata.yaml and .mcap")
    parser.add_argument("--rate", type=float, default=1.0, help="times the recorded pace (default 1)")
    args = parser.parse_args(remove_ros_args(given)[1:])
    context = Context()

    def play() -> None:
        rclpy.init(args=given, context=context)
        player = Player(args.recording, rate=args.rate, context=context)
        for _ in tqdm(player.play(), total=player.messages, desc="playing", unit="message"):
            pass

    try:
        return exit_status("player", play, errors=(VmemError, ValueError))
    finally:
        context.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
