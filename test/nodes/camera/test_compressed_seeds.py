"""Seeds as image_transport compresses them: JPEG, and PNG of millimetres, below the topics that the raw ones have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from harness import CAMERA, CameraProcess, Probe, pose_at, psnr, seen_from, stamped
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import RCLPY, camera_to_message, header, jpeg_to_message
from waiting import wait_until

QOS = qos_profile("sensor")


def test_compressed_images_seed_the_world_below_the_remapped_topic(tmp_path: Path) -> None:
    parameters = {"seed.transport": "compressed", "seed.pose_source": "topic", "seed.min_translation_m": 0.0}
    remaps = ["-r", "seed/image:=/robot/color/image_raw", "-r", "seed/depth:=/robot/depth/image_rect"]
    T = pose_at(-1.0)
    view = seen_from(T)
    assert view.depth is not None
    with CameraProcess(tmp_path / "log", parameters, ros_args=remaps) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        colour = probe.publisher("/robot/color/image_raw/compressed", CompressedImage, QOS)
        depth = probe.publisher("/robot/depth/image_rect/compressedDepth", CompressedImage, QOS)
        info = probe.publisher("seed/camera_info", SUBSCRIBED["seed/camera_info"].type, QOS)
        pose = probe.publisher("seed/pose", SUBSCRIBED["seed/pose"].type, QOS)
        head = header("camera_optical_frame", 5_000_000_000)
        _, png = cv2.imencode(".png", (view.depth.numpy() * 1000).round().astype(np.uint16))
        data = np.concatenate([np.zeros(12, np.uint8), png.reshape(-1)])
        messages: list[tuple[Any, Any]] = [
            (pose, stamped(T, stamp_ns=5_000_000_000)),
            (info, camera_to_message(CAMERA, head)),
            (depth, CompressedImage(header=head, format="16UC1; compressedDepth png", data=RCLPY.bytes_of(data))),
            (colour, jpeg_to_message(view.image, head, quality=95)),
        ]
        for publisher, message in messages:
            publisher.publish(message)
        client.wait_for(lambda status: status.stored_views == 1)
        stored = client.capture(T)
        assert psnr(stored.image, view.image) > 30
        np.testing.assert_allclose(stored.depth, view.depth, atol=6e-4)
        # What is damaged is refused by name, and the next one is taken.
        depth.publish(
            CompressedImage(header=header("camera_optical_frame", 6_000_000_000), format="16UC1; compressedDepth png")
        )
        for publisher, message in messages:
            message.header.stamp.sec = 6
            if publisher is not depth:
                publisher.publish(message)
        wait_until(
            lambda: "seed/image: INVALID_IMAGE: an image in the format '16UC1; compressedDepth png' is" in node.log,
            "the refusal",
            seen=lambda: node.log,
        )
        assert client.status.stored_views == 1
        probe.close()
