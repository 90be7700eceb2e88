"""One bound on pixels for every way into the node, and previews that never wait behind a large picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from sensor_msgs.msg import CameraInfo, Image

from harness import CameraProcess, Probe, add_truth, pose_at, seen_from, stamped
from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import qos_profile
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from waiting import wait_until

LARGEST = 2_000_000
TOO_LARGE = Camera.from_fov(1600, 1300, 80)
LARGE = Camera.from_fov(1600, 1200, 80)
HERE, THERE = pose_at(-1.0), pose_at(-0.8, 0.3)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    parameters = {"camera.max_pixels": LARGEST, "seed.pose_source": "topic"}
    with CameraProcess(tmp_path_factory.mktemp("pixels") / "log", parameters):
        probe = Probe()
        yield probe
        probe.close()


@pytest.fixture(scope="module")
def client(probe: Probe) -> Iterator[CameraClient]:
    with CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, HERE)
        yield client


class TestTooLarge:
    @pytest.mark.parametrize(
        "ask",
        [
            lambda client: client.render(THERE, camera=TOO_LARGE),
            lambda client: client.capture(THERE, camera=TOO_LARGE),
            lambda client: client.set_camera(TOO_LARGE),
            lambda client: client.add_view(
                np.zeros((*TOO_LARGE.size, 3), np.uint8), TOO_LARGE, THERE, depth=np.ones(TOO_LARGE.size, np.float32)
            ),
        ],
        ids=["render", "generate", "set_camera_info", "add_view"],
    )
    def test_requests(self, client: CameraClient, ask: Callable[[CameraClient], object]) -> None:
        with pytest.raises(InvalidCameraError, match=r"1600 x 1300 .* 2,000,000 allowed.*camera\.max_pixels"):
            ask(client)
        assert client.wait_for(lambda s: s.stored_views == 1)

    def test_parameters(self, client: CameraClient, probe: Probe) -> None:
        probe.set_parameter("camera.height", 1300)
        refused = probe.try_parameter("camera.width", 1600)
        assert (
            refused.reason
            == "camera.width x camera.height = 2,080,000 pixels must not exceed camera.max_pixels = 2,000,000"
        )
        probe.set_parameter("camera.height", 72)

    def test_seeds(self, client: CameraClient, probe: Probe) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        diagnostics = probe.listen("/diagnostics", DiagnosticArray, qos_profile("events"))
        head = header("camera", 5_000_000_000)
        messages = {
            "seed/pose": stamped(THERE, stamp_ns=5_000_000_000),
            "seed/camera_info": camera_to_message(TOO_LARGE, head),
            "seed/depth": map_to_message(torch.ones(TOO_LARGE.size), head),
            "seed/image": image_to_message(torch.zeros((*TOO_LARGE.size, 3), dtype=torch.uint8), head),
        }
        for name, message in messages.items():
            probe.publisher(name, type(message), qos_profile("sensor")).publish(message)
        wait_until(
            lambda: any("camera.max_pixels" in str(message) for message in diagnostics.messages), "the refused seed"
        )
        assert client.wait_for(lambda s: s.stored_views == 1)


class TestLarge:
    def test_previews_go_on(self, client: CameraClient, probe: Probe) -> None:
        previews = probe.listen("preview/image_raw", Image, qos_profile("stream"))
        infos = probe.listen("preview/camera_info", CameraInfo, qos_profile("stream"))
        wait_until(lambda: previews.messages and infos.messages, "a preview")
        answers: list[float] = []

        def ask() -> None:
            client.render(THERE, camera=LARGE)
            answers.append(time.monotonic())

        asking = [threading.Thread(target=ask) for _ in range(4)]
        before = len(infos.messages)
        for thread in asking:
            thread.start()
        wait_until(lambda: len(answers) == len(asking) or len(infos.messages) >= before + 3, "three previews")
        assert len(answers) < len(asking)
        for thread in asking:
            thread.join()

    def test_is_what_is_there(self, client: CameraClient) -> None:
        shown = client.render(THERE, camera=LARGE)
        truth = seen_from(THERE, LARGE)
        seen = shown.confidence > 0.9
        assert seen.mean() > 0.8
        assert np.abs(shown.depth - truth.depth.numpy())[seen].max() < 0.15
