"""A robot's RGB-D camera that feeds the node while it walks through the rooms, again and again.

python -m vmem_ros.nodes.soak.seeder --rate 4
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import rclpy

from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.interface.names import NAMESPACE, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    pose_to_message,
)
from vmem_ros.nodes.interface.script import event_of_signals
from vmem_ros.nodes.soak.place import BUILDING, LENS


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=4.0, help="frames a second")
    args = parser.parse_args(arguments)
    stop = event_of_signals()
    rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    node = rclpy.create_node("vmem_seeder", namespace=NAMESPACE)
    names = ("seed/pose", "seed/camera_info", "seed/depth", "seed/image")
    publishers = {name: node.create_publisher(SUBSCRIBED[name].type, name, qos_profile("sensor")) for name in names}
    for target in BUILDING.walk(LENS):
        view, head = BUILDING.view(target), header("map", time.time_ns())
        assert view.depth is not None, "the building knows its depth"
        pose = pose_to_message(link_from_camera(target.T_world_camera))
        for name, message in {
            "seed/pose": SUBSCRIBED["seed/pose"].type(header=head, pose=pose),
            "seed/camera_info": camera_to_message(LENS, head),
            "seed/depth": map_to_message(view.depth, head),
            "seed/image": image_to_message(view.image, head),
        }.items():
            publishers[name].publish(message)
        if stop.wait(1 / args.rate):
            break
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
