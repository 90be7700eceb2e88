"""Frames that cannot be right are refused, those that look wrong are doubted once, and each camera has its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rclpy.qos import DurabilityPolicy, QoSProfile

from harness import CAMERA, CameraProcess, Inbox, Probe, pose_at, seen_from
from link_poses import pose
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.camera.frame_doubts import doubt_of_link, doubt_of_optical
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    transform_to_message,
)
from waiting import wait_until

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)")
STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
T = pose_at(-1.0)


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    static: Any
    diagnostics: Inbox

    def fix(self, T_world_child: torch.Tensor, child: str) -> None:
        """Say where a frame is, for all times."""
        message = transform_to_message(T_world_child, header("map", 1), child)
        self.static.publish(tf2_msgs.TFMessage(transforms=[message]))

    def part(self, number: int) -> Any:
        """Return one status of the newest diagnostics."""
        seen = len(self.diagnostics.messages)
        wait_until(lambda: len(self.diagnostics.messages) > seen, "new diagnostics")
        return self.diagnostics.messages[-1].status[number]

    def look(self, frame: str) -> None:
        """Publish one image of the room that says to be taken in a frame."""
        view = seen_from(T)
        assert view.depth is not None
        head = header(frame, int(self.probe.node.get_clock().now().nanoseconds))
        for name, message in (
            ("seed/depth", map_to_message(view.depth, head)),
            ("seed/camera_info", camera_to_message(CAMERA, head)),
            ("seed/image", image_to_message(view.image, head)),
        ):
            self.seeds[name].publish(message)

    def __post_init__(self) -> None:
        names = ("seed/image", "seed/camera_info", "seed/depth")
        self.seeds = {n: self.probe.publisher(n, SUBSCRIBED[n].type, qos_profile("sensor")) for n in names}


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    parameters = {
        "diagnostics.period_s": 0.1,
        "seed.min_translation_m": 0.0,
        "seed.min_rotation_deg": 0.0,
        "tf_timeout_s": 30.0,  # frames are told when images come, and may come later
    }
    with CameraProcess(tmp_path_factory.mktemp("frames") / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        static = probe.node.create_publisher(tf2_msgs.TFMessage, "/tf_static", STATIC_QOS)
        topic = PUBLISHED["/diagnostics"]
        diagnostics = probe.listen("/diagnostics", topic.type, qos_profile(topic.qos))
        yield Setup(node, probe, client, static, diagnostics)
        probe.close()


def test_an_image_without_a_frame_is_refused_with_a_remedy(setup: Setup) -> None:
    setup.look("")
    wait_until(lambda: "seed/image: TF_ERROR: the image has no frame_id" in setup.node.log, "the refusal")
    assert "set the frame_id of the driver to the optical frame" in setup.node.log
    assert setup.client.status.stored_views == 0


def test_a_body_frame_is_doubted_once(setup: Setup) -> None:
    """The driver says `base_camera`, where x is forward: the picture is taken as one of the ceiling."""
    setup.fix(link_from_camera(T), "base_camera")
    setup.look("base_camera")
    setup.client.wait_for(lambda s: s.stored_views == 1)
    setup.look("base_camera")
    setup.client.wait_for(lambda s: s.stored_views == 2)
    assert setup.node.log.count("seed/image: frame 'base_camera' is taken for an optical one") == 1
    assert "it looks straight into the sky" in setup.node.log
    wait_until(lambda: "base_camera" in setup.part(3).message, "the doubt in /diagnostics")
    setup.fix(T, "robot_optical_frame")
    setup.look("robot_optical_frame")
    setup.client.wait_for(lambda s: s.stored_views == 3)
    wait_until(lambda: "optical" not in setup.part(3).message, "an end of the doubt")
    assert "'robot_optical_frame'" not in setup.node.log


def test_a_second_camera_has_frames_of_its_own_and_one_with_the_same_is_named(setup: Setup, tmp_path: Path) -> None:
    """One camera is told by its namespace, another one is given the prefix of the first, as all cameras had before."""
    statics = setup.probe.listen("/tf_static", tf2_msgs.TFMessage, STATIC_QOS)
    same = ["-r", "__ns:=/rear", "-p", "frame_prefix:=vmem"]
    with (
        CameraProcess(tmp_path / "other", ros_args=["-r", "__ns:=/front/vmem"]) as other,
        CameraProcess(tmp_path / "rival", ros_args=same) as rival,
    ):
        found = statics.wait(lambda m: m.transforms[0].child_frame_id == "front/vmem_optical_frame", what="its frames")
        assert found.transforms[0].header.frame_id == "front/vmem_link"
        text = "another publisher sends the frame 'vmem_optical_frame' of this camera"
        wait_until(lambda: text in setup.node.log and text in rival.log, "a warning of both", seen=lambda: rival.log)
        wait_until(lambda: "somebody else sends vmem_optical_frame" in setup.part(5).message, "it in /diagnostics")
        assert setup.node.log.count(text) == rival.log.count(text) == 1
        assert "another publisher" not in other.log


def test_what_looks_like_an_optical_frame() -> None:
    down = pose_at(0.0, z=2.0, look=(0.01, 0.0, 0.0))  # of a drone
    assert doubt_of_optical("camera_optical_frame", T) == ""
    assert doubt_of_optical("drone/Optical", down) == ""
    assert "straight into the floor" in doubt_of_optical("camera", down)
    assert "straight into the sky" in doubt_of_optical("optical_but_body", link_from_camera(T))
    assert "its name does not say 'optical'" in doubt_of_optical("camera", T)
    assert doubt_of_link("camera_link", pose(0, yaw_deg=40)) == ""
    assert doubt_of_link("gimbal", link_from_camera(down)) == ""
    assert "its y points to the floor" in doubt_of_link("head", T)
    assert "its name says 'optical'" in doubt_of_link("camera_optical_frame", pose(0))
