"""The driver of an RGB-D camera that drives straight on: image, intrinsics, depth and pose at a camera's rate.

    python -m vmem_ros.nodes.benchmarks.driver --width 640 --height 480 [--best-effort] [--compressed]

Used by ``vmem bench seeds``, in a process and with DDS settings of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage

from vmem_ros.benchmarking.building import Building
from vmem_ros.geometry import Camera, look_at
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.interface.delivery import wait_for_subscribers
from vmem_ros.nodes.interface.names import COMPRESSED, NAMESPACE, SUBSCRIBED
from vmem_ros.nodes.interface.rclpy_messages import (
    RCLPY,
    camera_to_message,
    header,
    image_to_message,
    jpeg_to_message,
    map_to_message,
    pose_to_message,
)
from vmem_ros.nodes.interface.script import exit_status
from vmem_ros.types import Target

#: How far apart the views are that the node takes by default.
VIEW_M = 0.2
FRAMES_PER_VIEW, RATE_HZ = 12, 30.0
# A little more than asked for, so that rounding does not cost a frame.
_STEP_M = VIEW_M / FRAMES_PER_VIEW * 1.001
_PICTURE_M, _FOV_DEG, _FRAME, _JPEG_QUALITY = 0.1, 75.0, "camera_color_optical_frame", 95
_SEEDS = ("seed/pose", "seed/camera_info", "seed/depth", "seed/image")
_DEPTH, _FOUND_S, _LINGER_S = 5, 60.0, 1.0


class Driver(Node):
    """Publishes ``seed/*`` as drivers of cameras do, raw or as image_transport's plug-ins compress it."""

    def __init__(self, context: Context, *, best_effort: bool, compressed: bool) -> None:
        super().__init__("vmem_bench_driver", namespace=NAMESPACE, context=context, start_parameter_services=False)
        self._compressed = compressed
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        qos = QoSProfile(depth=_DEPTH, reliability=reliability)
        rows = {name: SUBSCRIBED[name] for name in _SEEDS} | (COMPRESSED if compressed else {})
        self._topics = {name: self.create_publisher(row.type, row.name, qos) for name, row in rows.items()}

    def drive(self, camera: Camera, views: int) -> None:
        """Drive so far that so many views can be taken, once the node listens.

        :raises NotReadyError: it does not.
        """
        frames = FRAMES_PER_VIEW * (views - 1) + 1
        length_m = frames * _STEP_M
        pictures = [self._picture(camera, i * _PICTURE_M, length_m) for i in range(int(length_m / _PICTURE_M) + 1)]
        wait_for_subscribers(self._topics, timeout_s=_FOUND_S)
        time.sleep(_LINGER_S)
        began = time.monotonic()
        for number in range(frames):
            at_m, stamp_ns = number * _STEP_M, time.time_ns()
            pose = pose_to_message(link_from_camera(_pose(at_m, length_m)))
            stamped = PoseStamped(header=header("map", stamp_ns), pose=pose)
            picture = pictures[min(round(at_m / _PICTURE_M), len(pictures) - 1)]
            for name, message in {**picture, "seed/pose": stamped}.items():
                message.header.stamp = stamped.header.stamp
                self._topics[name].publish(message)
            time.sleep(max(0.0, began + (number + 1) / RATE_HZ - time.monotonic()))
        time.sleep(_LINGER_S)
        print(f"sent {frames} frames in {time.monotonic() - began - _LINGER_S:.1f} s", flush=True)

    def _picture(self, camera: Camera, at_m: float, length_m: float) -> Mapping[str, Any]:
        view, head = Building().view(Target(camera, _pose(at_m, length_m))), header(_FRAME, 0)
        assert view.depth is not None, "the building knows its depth"
        if not self._compressed:
            image, depth = image_to_message(view.image, head), map_to_message(view.depth, head)
        else:
            image = jpeg_to_message(view.image, head, quality=_JPEG_QUALITY)
            depth = _compressed_depth(view.depth, head)
        return {"seed/camera_info": camera_to_message(camera, head), "seed/depth": depth, "seed/image": image}


def _pose(at_m: float, length_m: float) -> torch.Tensor:
    """Return where the camera is after so many metres along a line through the building's rooms."""
    y = at_m - length_m / 2
    return look_at((-1.5, y, 1.3), (3.0, y, 1.0))


def _compressed_depth(depth: torch.Tensor, head: Any) -> CompressedImage:
    """Return depth as compressedDepth: twelve bytes that 16UC1 leaves empty, then a PNG of millimetres."""
    millimetres = (depth.numpy() * 1000).round().astype(np.uint16)
    _, png = cv2.imencode(".png", millimetres, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    data = np.concatenate([np.zeros(12, np.uint8), png.reshape(-1)])
    return CompressedImage(header=head, format="16UC1; compressedDepth png", data=RCLPY.bytes_of(data))


def main(arguments: Sequence[str] | None = None) -> int:
    """Drive once and stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--views", type=int, default=30, help="that the node may take (default 30, a drive of 6 m)")
    parser.add_argument("--best-effort", action="store_true", help="publish without acknowledgement")
    parser.add_argument("--compressed", action="store_true", help="publish JPEG and compressedDepth")
    args = parser.parse_args(arguments)
    context = Context()

    def drive() -> None:
        rclpy.init(args=[], context=context)
        camera = Camera.from_fov(args.width, args.height, _FOV_DEG)
        Driver(context, best_effort=args.best_effort, compressed=args.compressed).drive(camera, args.views)

    try:
        return exit_status("driver", drive)
    finally:
        context.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
