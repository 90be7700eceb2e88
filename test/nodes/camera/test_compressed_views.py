"""Generated views as image_transport's plug-ins send them, read back with the package's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from harness import CameraProcess, Inbox, Probe, add_truth, pose_at, psnr
from vmem_ros.messages.compressed_images import color_from_compressed_message, depth_from_compressed_message
from vmem_ros.messages.images import depth_from_message, image_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, qos_profile

SEED = pose_at(-1.0)
COLOR, DEPTH = "camera/image_raw", "camera/depth/image_rect"
PLUG_INS = {COLOR: f"{COLOR}/compressed", DEPTH: f"{DEPTH}/compressedDepth"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[CameraClient]:
    with CameraProcess(tmp_path / "log", {"composite": "none"}), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, SEED)
        yield client


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


def listen(probe: Probe, name: str) -> Inbox:
    return probe.listen(name, PUBLISHED[name].type, qos_profile(PUBLISHED[name].qos))


def at(inbox: Inbox, stamp_ns: int) -> Image | CompressedImage:
    return inbox.wait(lambda m: stamp_to_ns(m.header.stamp) == stamp_ns, what=f"a message at {stamp_ns}")


def test_they_hold_what_the_raw_topics_hold(client: CameraClient, probe: Probe) -> None:
    inboxes = {name: listen(probe, name) for pair in PLUG_INS.items() for name in pair}
    client.capture(SEED)
    probe.set_parameter("camera.jpeg_quality", 100)
    stamp_ns = client.capture(pose_at(-0.8, 0.2)).stamp_ns
    found = {name: at(inbox, stamp_ns) for name, inbox in inboxes.items()}
    assert found[PLUG_INS[COLOR]].format == "rgb8; jpeg compressed bgr8"
    assert found[PLUG_INS[DEPTH]].format == "32FC1; compressedDepth png"
    assert len({message.header.frame_id for message in found.values()}) == 1
    # JPEG of any quality halves the resolution of colours.
    assert psnr(color_from_compressed_message(found[PLUG_INS[COLOR]]), image_from_message(found[COLOR])) > 30
    assert len(found[PLUG_INS[COLOR]].data) < len(found[COLOR].data) / 2
    depth = depth_from_message(found[DEPTH])
    shown = np.isfinite(depth)
    assert shown.mean() > 0.8
    read = depth_from_compressed_message(found[PLUG_INS[DEPTH]])
    np.testing.assert_allclose(read[shown], depth[shown], rtol=1e-3)
    assert np.isnan(read[~shown]).all()


def test_who_comes_late_gets_the_newest_as_of_the_raw_topics(client: CameraClient, probe: Probe) -> None:
    """Also after another listener came and went: what that one heard last is old."""
    first = Probe(name="first")
    inbox = listen(first, PLUG_INS[COLOR])
    at(inbox, client.capture(SEED).stamp_ns)
    first.close()
    newest = client.capture(pose_at(-0.8)).stamp_ns
    assert stamp_to_ns(listen(probe, COLOR).wait().header.stamp) == newest
    for name in PLUG_INS.values():
        at(listen(probe, name), newest)
