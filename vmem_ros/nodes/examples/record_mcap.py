"""Record a walk into an MCAP file: one node records and asks for the views, and a thread spins it."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from vmem_ros.msg import Status

from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms
from vmem_ros.nodes.tools.recorder import Recorder

_VIEWS = 4


def record(args: argparse.Namespace) -> None:
    """Show the camera two rooms, walk a little, and keep all that was said."""
    rooms = Rooms(args.width)
    namespace = ["--ros-args", "-r", f"__ns:=/{args.namespace.strip('/')}"]
    rclpy.init(args=namespace, signal_handler_options=SignalHandlerOptions.NO)
    recorder, executor = Recorder(args.out), SingleThreadedExecutor()
    executor.add_node(recorder)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    try:
        # On the recorder's own node: once it is ready, the camera knows all that the recorder listens to.
        with CameraClient(args.namespace, node=recorder) as camera:
            rooms.show(camera)
            views = camera.generate(rooms.loop[:_VIEWS], seed=1)
            camera.wait_for(lambda status: status.state == Status.STATE_IDLE)
    finally:
        executor.shutdown()
        spinning.join()
        recorder.close()
        rclpy.shutdown()
    print(
        f"{args.out}: {recorder.written} messages about {len(views)} views; open its .mcap file in Foxglove, or play "
        "the folder with `ros2 bag play`"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Record once and stop."""
    return program.run("record_mcap", __doc__, record, arguments, out="recording")


if __name__ == "__main__":
    sys.exit(main())
