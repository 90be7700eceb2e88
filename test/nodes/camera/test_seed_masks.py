"""Masks on ``seed/mask``: what moves is not remembered, and an image without its mask is not taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness import CAMERA, CameraProcess, Probe, pose_at, seen_from, stamped
from vmem_ros.messages.observed_view import observed_view_from_messages
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    mask_to_message,
)
from waiting import wait_until

pytestmark = pytest.mark.ros
#: Somebody in a colour that no wall has.
PINK = (255, 0, 255)
SENT = ("seed/pose", "seed/camera_info", "seed/depth", "seed/mask", "seed/image")
POSES = [pose_at(-1.0, 0.35 * n - 0.7) for n in range(5)]


class Robot:
    """Publishes an RGB-D camera before which somebody walks, and in which pixels that is."""

    def __init__(self, probe: Probe, *, unheard: str = "") -> None:
        rows = [SUBSCRIBED[name] for name in SENT]
        self._publishers = {
            row.name: probe.publisher(row.name, row.type, qos_profile(row.qos)) for row in rows if row.name != unheard
        }
        if unheard:
            row = SUBSCRIBED[unheard]
            self._publishers[unheard] = probe.node.create_publisher(row.type, f"/vmem/{unheard}", qos_profile(row.qos))

    def look(self, step: int, *, without: tuple[str, ...] = (), mask: NDArray[Any] | None = None) -> None:
        """Publish what is seen in a step, but for some topics."""
        T, stamp_ns = POSES[step], (1_000 + step) * 10**9
        head, view = header("camera", stamp_ns), seen_from(T)
        moving = np.zeros(CAMERA.size, bool)
        moving[20:60, 10 + 15 * step : 25 + 15 * step] = True
        image, depth = view.image.numpy().copy(), view.depth.numpy().copy()
        image[moving], depth[moving] = PINK, 1.0
        messages = {
            "seed/pose": stamped(T, stamp_ns=stamp_ns),
            "seed/camera_info": camera_to_message(CAMERA, head),
            "seed/depth": map_to_message(depth, head),
            "seed/mask": mask_to_message(moving if mask is None else mask, head),
            "seed/image": image_to_message(image, head),
        }
        for name in SENT:
            if name not in without:
                self._publishers[name].publish(messages[name])


def pink(client: CameraClient) -> int:
    """Return how many pixels of renderings from where the camera was, and beside it, have the colour."""
    images = [client.render(T, camera=CAMERA).image for T in (*POSES, pose_at(-0.9, 0.1))]
    return sum(int((np.abs(image.astype(int) - PINK) < 60).all(axis=-1).sum()) for image in images)


def test_what_moves_is_not_remembered(tmp_path: Path) -> None:
    parameters = {"seed.pose_source": "topic", "seed.mask": True}
    with CameraProcess(tmp_path / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        robot = Robot(probe)
        for step in (0, 1):
            robot.look(step)
            client.wait_for(lambda s, n=step + 1: s.stored_views == n)
        robot.look(2, without=("seed/mask",))
        robot.look(3)
        client.wait_for(lambda s: s.stored_views == 3)
        assert pink(client) == 0
        # A mask of another size is refused with its image, and says why.
        robot.look(4, mask=np.ones((5, 7), bool))
        wait_until(lambda: "the mask is 7 x 5 but the image is 96 x 72" in node.log, "a refusal")
        assert client.status.stored_views == 3
        probe.close()


def test_without_them_it_is_and_somebody_is_told(tmp_path: Path) -> None:
    with CameraProcess(tmp_path / "log", {"seed.pose_source": "topic"}) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        robot = Robot(probe, unheard="seed/mask")
        for step in (0, 1):
            robot.look(step)
            client.wait_for(lambda s, n=step + 1: s.stored_views == n)
        assert pink(client) > 100
        wait_until(lambda: "set seed.mask: true" in node.log, "a hint in the log")
        probe.close()


def test_masks_of_a_lens_are_rectified() -> None:
    """With the image, so that they cover the same."""
    head = header("lens", 0)
    info = camera_to_message(CAMERA, head)
    info.d = [0.3, -0.05, 0.002, -0.001, 0.0]
    moving = np.zeros(CAMERA.size, bool)
    moving[10:30, 60:90] = True
    image = np.zeros((*CAMERA.size, 3), np.uint8)
    image[moving] = PINK
    seen = observed_view_from_messages(
        image_to_message(image, head), info, torch.eye(4, dtype=torch.float64), mask=mask_to_message(moving, head)
    )
    assert seen.mask[seen.view.image.amax(dim=-1) > 0].all()
    without = observed_view_from_messages(image_to_message(image, head), info, torch.eye(4, dtype=torch.float64))
    assert 0 < int((seen.mask & ~without.mask).sum()) < 1.3 * int((without.view.image.amax(dim=-1) > 0).sum())
