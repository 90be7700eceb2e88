"""A view of a lens is the same memory, whether it comes on ``seed/*`` or in a call of ``~/add_view``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sensor_msgs.msg import CameraInfo, Image
from vmem_ros.srv import AddView

from harness import CAMERA, CameraProcess, Probe, pose_at, seen_from, stamped
from memories import differences
from vmem_ros.errors import ErrorCode
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from vmem_ros.world_file import read_world

pytestmark = pytest.mark.ros
POSE = pose_at(-1.0)
# The corners of the pinhole camera lie outside of this lens's image.
LENS = [0.3, -0.05, 0.002, -0.001, 0.0]


@dataclass
class Setup:
    worlds: Path
    probe: Probe
    client: CameraClient

    def messages(self, stamp_ns: int) -> tuple[Image, CameraInfo, Image]:
        """Return image, intrinsics and depth of a lens."""
        view, head = seen_from(POSE), header("lens", stamp_ns)
        info = camera_to_message(CAMERA, head)
        info.d = LENS
        return image_to_message(view.image, head), info, map_to_message(view.depth, head)

    def stored(self, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Save the world, forget it, and return what was saved: one view."""
        assert self.client.save(name).stored_views == 1
        self.client.reset()
        return read_world(self.worlds / name)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("add_view")
    parameters = {"seed.pose_source": "topic", "world.root": folder}
    with CameraProcess(folder / "log", parameters), CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        yield Setup(folder, probe, client)
        probe.close()


def test_both_ways_give_the_same_memory(setup: Setup) -> None:
    stamp_ns = 1_700_000_000_000_000_000
    image, info, depth = setup.messages(stamp_ns)
    pose = stamped(POSE, stamp_ns=stamp_ns)
    sent = {"seed/pose": pose, "seed/camera_info": info, "seed/depth": depth, "seed/image": image}
    publishers = {
        name: setup.probe.publisher(name, SUBSCRIBED[name].type, qos_profile(SUBSCRIBED[name].qos)) for name in sent
    }
    for name, message in sent.items():
        publishers[name].publish(message)
    setup.client.wait_for(lambda status: status.stored_views == 1)
    seeded = setup.stored("seeded.world")

    add = setup.probe.client(f"/vmem/{NODE_NAME}/add_view", AddView)
    request = AddView.Request(image=image, camera_info=info, pose=pose, depth=depth)
    assert setup.probe.call(add, request).error_code == ErrorCode.NONE
    assert differences(setup.stored("added.world"), seeded) == []

    # Told that the image is rectified already, it takes other pixels.
    request.rectified = True
    assert setup.probe.call(add, request).error_code == ErrorCode.NONE
    assert differences(setup.stored("rectified.world"), seeded) != []


def test_a_lens_that_is_not_known_is_refused(setup: Setup) -> None:
    image, info, depth = setup.messages(1)
    info.distortion_model = "kannala"
    add = setup.probe.client(f"/vmem/{NODE_NAME}/add_view", AddView)
    response = setup.probe.call(add, AddView.Request(image=image, camera_info=info, pose=stamped(POSE), depth=depth))
    assert response.error_code == ErrorCode.INVALID_CAMERA_INFO
    assert "use plumb_bob, rational_polynomial, equidistant" in response.error_msg
