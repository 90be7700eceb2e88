"""What real drivers send, through ~/add_view of a node in another process; and clouds that come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped
from vmem_ros.srv import AddView

from harness import CAMERA, CameraProcess, Probe, add_truth, pose_at, psnr, seen_from, stamped
from rooms import HALF
from vmem_ros.errors import ErrorCode, NotReadyError
from vmem_ros.geometry import transform
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.cloud_reading import CLOUD_READER
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import RCLPY, camera_to_message, header, image_to_message, map_to_message
from waiting import wait_until

POSE = pose_at(-1.0)
HEAD = header("", 0)


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    add: Any

    def answer(self, request: AddView.Request) -> AddView.Response:
        return self.probe.call(self.add, request)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    log: Path = tmp_path_factory.mktemp("messages") / "log"
    parameters = {"memory.publish_rate_hz": 20.0, "points.stride": 1, "seed.pose_source": "topic"}
    with CameraProcess(log, parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        yield Setup(node, probe, client, probe.client(f"/vmem/{NODE_NAME}/add_view", AddView))
        probe.close()


@pytest.fixture(autouse=True)
def _empty(setup: Setup) -> None:
    setup.client.reset()


def request() -> AddView.Request:
    view = seen_from(POSE)
    assert view.depth is not None
    return AddView.Request(
        image=image_to_message(view.image, HEAD),
        camera_info=camera_to_message(CAMERA, HEAD),
        pose=stamped(POSE),
        depth=map_to_message(view.depth, HEAD),
    )


def test_a_mosaic_behind_a_lens_of_eight_coefficients_is_remembered(setup: Setup) -> None:
    """As Orbbec's driver calls its lens, and cameras of machines send their pixels."""
    sent, truth = request(), seen_from(POSE).image.numpy()
    row, column = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    channel = np.array([[0, 1], [1, 2]])[row % 2, column % 2]
    mosaic = np.ascontiguousarray(truth[row, column, channel].astype(">u2") * 257).astype(">u2")
    sent.image.encoding, sent.image.is_bigendian, sent.image.step = "bayer_rggb16", 1, 2 * CAMERA.width
    sent.image.data = RCLPY.bytes_of(mosaic.view(np.uint8))
    sent.camera_info.d = [1e-5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    answer = setup.answer(sent)
    assert (answer.error_code, answer.stored_views) == (ErrorCode.NONE, 1), answer.error_msg
    assert psnr(setup.client.render(POSE, camera=CAMERA).image, truth) > 20


@pytest.mark.parametrize("lens", [False, True])
def test_intrinsics_are_believed_only_beside_their_image(setup: Setup, lens: bool) -> None:
    def changed(**fields: Any) -> AddView.Request:
        sent = request()
        if lens:
            sent.camera_info.d = [0.1, 0.0, 0.0, 0.0, 0.0]
        for name, value in fields.items():
            setattr(sent.camera_info, name, value)
        return sent

    camera_info, image = ErrorCode.INVALID_CAMERA_INFO, ErrorCode.INVALID_IMAGE
    for sent, code, text in (
        (changed(width=0, height=32), camera_info, "images of 0 x 32 pixels: the driver has not filled it in"),
        (changed(width=2**31, height=32), camera_info, f"{2**31}"),
        (changed(width=30000, height=30000), camera_info, "30000"),
        (changed(width=960, height=720), image, "image is 96 x 72 but its intrinsics are for 960 x 720"),
        (changed(k=np.zeros(9), p=np.zeros(12)), camera_info, "K is all zeros: the camera is uncalibrated"),
        (changed(binning_x=2), image, "image is 96 x 72 but its intrinsics are for 48 x 72"),
    ):
        answer = setup.answer(sent)
        assert (answer.error_code, text in answer.error_msg) == (code, True), answer.error_msg
    small = request()
    small.depth = map_to_message(seen_from(POSE).depth[::2, ::2], HEAD)
    answer = setup.answer(small)
    assert (answer.error_code, "register depth to colour" in answer.error_msg) == (image, True), answer.error_msg
    assert setup.client.status.stored_views == 0


def test_absurd_depths_do_not_hide_the_others(setup: Setup) -> None:
    sent, depth = request(), seen_from(POSE).depth.clone()
    absurd = torch.rand(depth.shape, generator=torch.Generator().manual_seed(0)) < 1 / 3
    depth[absurd] = 1e20
    sent.depth = map_to_message(depth, HEAD)
    assert setup.answer(sent).error_code == ErrorCode.NONE
    shown = setup.client.render(POSE, camera=CAMERA)
    known = ~absurd.numpy() & np.isfinite(shown.depth)
    assert known.mean() > 0.6
    np.testing.assert_allclose(shown.depth[known], depth[known], rtol=0.02)
    assert psnr(shown.image, seen_from(POSE).image) > 20
    wait_until(
        lambda: f"{int(absurd.sum())} of 6912 pixels of a frame had a depth beyond 10 km" in setup.node.log, "a warning"
    )


def test_depth_in_place_of_colour_is_doubted(setup: Setup) -> None:
    """Grey of 16 bits is read, and looks as most depth does."""
    sent = request()
    sent.image.encoding, sent.image.step = "16UC1", 2 * CAMERA.width
    sent.image.data = RCLPY.bytes_of((seen_from(POSE).depth * 1000).numpy().astype(np.uint16))
    head = header("camera", setup.probe.node.get_clock().now().nanoseconds)
    topics = {"image": sent.image, "camera_info": sent.camera_info, "depth": sent.depth, "pose": sent.pose}
    for message in topics.values():
        frame_id = message.header.frame_id
        message.header = head if not isinstance(message, PoseStamped) else header(frame_id, stamp_to_ns(head.stamp))
    for name, message in topics.items():
        setup.probe.publisher(f"seed/{name}", type(message), qos_profile("sensor")).publish(message)
    wait_until(lambda: "seed/image: it is 16UC1, as most depth is" in setup.node.log, "a doubt")
    assert setup.client.wait_for(lambda status: status.stored_views == 1)


def test_points_of_the_memory_and_of_a_view(setup: Setup) -> None:
    client = setup.client
    add_truth(client, POSE, pose_at(-0.5, 0.6))
    client.wait_for(lambda status: status.stored_views == 2)
    remembered = client.points()
    assert (remembered.frame_id, remembered.color.dtype) == ("map", np.uint8)
    assert set(remembered.fields) == {"normal_x", "normal_y", "normal_z", "radius"}
    # The room is a box around the origin: one coordinate of every point is that of a wall.
    half = HALF.numpy()
    assert np.abs(np.abs(remembered.position) - half).min(axis=1).max() < 0.03

    with pytest.raises(NotReadyError, match=r"/vmem/camera/points within 0.2 s: was a view generated\?"):
        client.points("camera/points", timeout_s=0.2)
    found = []
    reader = threading.Thread(target=lambda: found.append(client.points("camera/points")))
    reader.start()
    while reader.is_alive():
        client.capture(POSE)
    (cloud,) = found
    assert cloud.frame_id == "vmem_generated_optical_frame"
    assert set(cloud.fields) == {"intensity"}
    # They are in the optical frame of the view.
    world = transform(POSE, torch.from_numpy(cloud.position).double()).numpy()
    assert np.abs(np.abs(world) - half).min(axis=1).max() < 0.03


def test_what_reads_clouds_is_named() -> None:
    assert CLOUD_READER == "sensor_msgs_py.point_cloud2" or "sensor_msgs_py is not installed" in CLOUD_READER
