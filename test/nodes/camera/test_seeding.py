"""A robot feeds the world: live seeding with poses from TF or from a topic, following a frame, streaming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from geometry_msgs.msg import Twist
from sensor_msgs.msg import CameraInfo, Image

from harness import CAMERA, CameraProcess, Inbox, Probe, pose_at, psnr, seen_from, stamped
from vmem_ros.errors import NotReadyError
from vmem_ros.geometry import Camera
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import camera_from_link, link_from_camera, pose_from_message, transform_from_message
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, PUBLISHED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    RCLPY,
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    transform_to_message,
)
from waiting import wait_until

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)")
NODE = f"/vmem/{NODE_NAME}"
OPTICAL = "robot_camera_optical_frame"
STREAM = qos_profile("sensor")


class Robot:
    """Publishes an RGB-D camera, and where it is."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._image = probe.publisher("seed/image", Image, STREAM)
        self._info = probe.publisher("seed/camera_info", CameraInfo, STREAM)
        self._depth = probe.publisher("seed/depth", Image, STREAM)
        self._tf = probe.node.create_publisher(tf2_msgs.TFMessage, "/tf", STREAM)

    def now_ns(self) -> int:
        return int(self._probe.node.get_clock().now().nanoseconds)

    def transform(self, T_world_camera: torch.Tensor, stamp_ns: int) -> None:
        """Say where the camera is: map -> robot_base -> its optical frame."""
        base = torch.eye(4, dtype=torch.float64)
        base[0, 3] = 0.25
        head = header("map", stamp_ns)
        mount = transform_to_message(torch.linalg.inv(base) @ T_world_camera, header("robot_base", stamp_ns), OPTICAL)
        self._tf.publish(tf2_msgs.TFMessage(transforms=[transform_to_message(base, head, "robot_base"), mount]))

    def look(
        self,
        T_world_camera: torch.Tensor,
        *,
        camera: Camera = CAMERA,
        change: Callable[[Image, CameraInfo, Image], None] = lambda *_: None,
        transform_first: bool = True,
    ) -> int:
        """Publish what is to be seen from a pose; returns the stamp."""
        view, stamp_ns = seen_from(T_world_camera, camera), self.now_ns()
        head = header(OPTICAL, stamp_ns)
        image, info = image_to_message(view.image, head), camera_to_message(camera, head)
        depth = map_to_message(view.depth, head)
        change(image, info, depth)
        if transform_first:
            self.transform(T_world_camera, stamp_ns)
        self._depth.publish(depth)
        self._info.publish(info)
        self._image.publish(image)
        if not transform_first:
            self.transform(T_world_camera, stamp_ns)
        return stamp_ns


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    robot: Robot
    diagnostics: Inbox

    def is_seeded(self) -> bool:
        """Show the room once, and tell whether the node has taken it."""
        self.robot.look(pose_at(-1.0))
        with suppress(NotReadyError):
            self.client.wait_for(lambda s: s.stored_views > 0, timeout_s=3.0)
        return self.client.status.stored_views > 0

    def seeding(self) -> dict[str, str]:
        """Return the newest figures of /diagnostics."""
        seen = len(self.diagnostics.messages)
        wait_until(lambda: len(self.diagnostics.messages) > seen, "new diagnostics")
        return {v.key: v.value for v in self.diagnostics.messages[-1].status[3].values}


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("seeding")
    parameters = {
        "camera.mode": "streaming",
        "seed.pose_source": "tf",
        "tf_timeout_s": 5.0,
        "diagnostics.period_s": 0.1,
    }
    with CameraProcess(folder / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        topic = PUBLISHED["/diagnostics"]
        diagnostics = probe.listen("/diagnostics", topic.type, qos_profile(topic.qos))
        setup = Setup(node, probe, client, Robot(probe), diagnostics)
        # The node listens to /tf from the first image on, which comes too early for itself.
        setup.probe.set_parameter("tf_timeout_s", 0.0)
        wait_until(setup.is_seeded, "the first seed")
        diagnostics.wait(what="diagnostics")
        setup.probe.set_parameter("tf_timeout_s", 5.0)
        yield setup
        probe.close()


@pytest.fixture
def empty(setup: Setup) -> Setup:
    setup.client.reset()
    setup.client.wait_for(lambda s: s.stored_views == 0)
    return setup


@pytest.fixture
def seeded(empty: Setup) -> Setup:
    empty.robot.look(pose_at(-1.0))
    empty.client.wait_for(lambda s: s.stored_views == 1)
    return empty


def test_first_image_seeds_the_world(empty: Setup) -> None:
    T = pose_at(-1.0, 0.2)
    stamp_ns = empty.robot.look(T)
    empty.client.wait_for(lambda s: s.stored_views == 1)
    view = empty.client.capture(T)
    assert psnr(view.image, seen_from(T).image) > 30
    path = PUBLISHED["memory/path"]
    stored = empty.probe.listen("memory/path", path.type, qos_profile(path.qos))
    stored.wait(lambda m: m.poses and stamp_to_ns(m.poses[0].header.stamp) == stamp_ns, what="the stamp of the seed")


def test_late_transforms_are_waited_for(empty: Setup) -> None:
    empty.robot.look(pose_at(-1.0), transform_first=False)
    empty.client.wait_for(lambda s: s.stored_views == 1)


def test_a_single_set_of_unequal_stamps_is_taken_when_nothing_nearer_comes(empty: Setup) -> None:
    def later(_: Image, __: CameraInfo, depth: Image) -> None:
        depth.header = header(OPTICAL, stamp_to_ns(depth.header.stamp) + 10_000_000)

    empty.robot.look(pose_at(-1.0), change=later)
    empty.client.wait_for(lambda s: s.stored_views == 1)


def test_only_a_camera_that_moved_is_taken(seeded: Setup) -> None:
    for _ in range(3):
        skipped = int(seeded.seeding()["skipped"])
        seeded.robot.look(pose_at(-1.05))
        wait_until(lambda before=skipped: int(seeded.seeding()["skipped"]) > before, "a skipped image")
    assert seeded.client.status.stored_views == 1
    seeded.robot.look(pose_at(-0.7))
    seeded.client.wait_for(lambda s: s.stored_views == 2)
    seeded.robot.look(pose_at(-0.7, look=(3.0, 2.4, 0.0)))
    seeded.client.wait_for(lambda s: s.stored_views == 3)


@pytest.mark.parametrize("encoding", ["bgr8", "mono8"])
def test_other_encodings(empty: Setup, encoding: str) -> None:
    def change(image: Image, info: CameraInfo, depth: Image) -> None:
        pixels = image_from_message(image)
        pixels = pixels[..., ::-1] if encoding == "bgr8" else pixels[..., :1]
        image.encoding, image.step = encoding, pixels.shape[2] * image.width
        image.data = RCLPY.bytes_of(pixels)
        millimetres = (map_from_message(depth) * 1000).round().astype(np.uint16)
        depth.encoding, depth.step, depth.data = "16UC1", 2 * depth.width, RCLPY.bytes_of(millimetres)

    T = pose_at(-1.0)
    empty.robot.look(T, change=change)
    empty.client.wait_for(lambda s: s.stored_views == 1)
    view, truth = empty.client.capture(T), seen_from(T)
    expected = truth.image if encoding == "bgr8" else truth.image[..., :1].expand(-1, -1, 3)
    np.testing.assert_array_equal(view.image, expected)
    np.testing.assert_allclose(view.depth, truth.depth, atol=6e-4)


def test_images_of_a_lens_are_rectified(empty: Setup) -> None:
    """A barrel lens whose corners the pinhole camera does not reach."""
    T = pose_at(-1.0)
    empty.robot.look(T, change=lambda i, k, d: _set(k, d=[0.2, 0.0, 0.0, 0.0, 0.0]))
    empty.client.wait_for(lambda s: s.stored_views == 1)
    view, truth = empty.client.capture(T), seen_from(T)
    known = np.isfinite(view.depth)
    assert not known[0, 0]
    assert known[36, 48]
    # The middle stays where it is; towards the edges the lens shows what lies farther in.
    np.testing.assert_allclose(view.depth[36, 48], truth.depth[36, 48], rtol=0.05)
    assert not np.array_equal(view.image, truth.image)


def _set(message: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(message, name, value)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (lambda i, k, d: _set(i, encoding="yuv420p"), "INVALID_IMAGE", "yuv420p"),
        (lambda i, k, d: _set(i, data=i.data[:-5]), "INVALID_IMAGE", "truncated"),
        (lambda i, k, d: _set(d, encoding="8UC1"), "INVALID_IMAGE", "32FC1 (metres) or 16UC1 (millimetres)"),
        (lambda i, k, d: _set(k, width=48, height=36), "INVALID_IMAGE", "intrinsics are for 48 x 36"),
        (lambda i, k, d: _set(k, width=48, height=36, d=[0.1, 0.0, 0.0, 0.0]), "INVALID_IMAGE", "are for 48 x 36"),
        (lambda i, k, d: _set(k, k=np.zeros(9)), "INVALID_CAMERA_INFO", "K is all zeros"),
        (lambda i, k, d: _set(k, d=[0.1], distortion_model="kannala"), "INVALID_CAMERA_INFO", "seed.rectified"),
        (lambda i, k, d: _set(i.header, frame_id="unknown_frame"), "TF_ERROR", "unknown_frame"),
    ],
)
def test_bad_images_are_counted_and_named(
    seeded: Setup, change: Callable[[Image, CameraInfo, Image], None], code: str, text: str
) -> None:
    rejected = int(seeded.seeding()["rejected"])
    seeded.robot.look(pose_at(-0.5), change=change)
    figures = wait_until(lambda: (f := seeded.seeding()) and int(f["rejected"]) > rejected and f, "a rejected image")
    assert figures["last_rejection"].startswith(code)
    assert text in figures["last_rejection"]
    assert seeded.client.status.stored_views == 1
    seeded.robot.look(pose_at(-0.5))
    seeded.client.wait_for(lambda s: s.stored_views == 2)


def test_missing_topic_is_named(seeded: Setup) -> None:
    publisher = seeded.probe.publisher("seed/image", Image, STREAM)
    image = image_to_message(seen_from(pose_at(0.0)).image, header(OPTICAL, seeded.robot.now_ns()))
    publisher.publish(image)

    def complaint() -> bool:
        return "seed/depth" in seeded.diagnostics.messages[-1].status[3].message

    wait_until(complaint, "the missing topic in /diagnostics")


def test_camera_follows_a_frame(seeded: Setup) -> None:
    seeded.probe.set_parameter("follow_frame", "robot_head")
    retrieval = PUBLISHED["memory/retrieval"]
    views = seeded.probe.listen("memory/retrieval", retrieval.type, qos_profile(retrieval.qos))
    T = pose_at(-0.9, 0.1)
    tf = seeded.probe.node.create_publisher(tf2_msgs.TFMessage, "/tf", STREAM)
    try:
        wait_until(
            lambda: "robot_head" in seeded.diagnostics.messages[-1].status[5].message,
            "the unknown frame in /diagnostics",
        )
        wait_until(tf.get_subscription_count, "a subscriber of /tf")
        head = header("map", seeded.robot.now_ns())
        message = transform_to_message(link_from_camera(T), head, "robot_head")
        tf.publish(tf2_msgs.TFMessage(transforms=[message]))
        views.wait(
            lambda m: torch.allclose(camera_from_link(pose_from_message(m.pose)), T, rtol=0, atol=1e-9),
            what="a view from the followed frame",
        )
        seeded.client.move_to(pose_at(-1.0))
        said = "pose or cmd_vel moves the camera, and follow_frame = 'robot_head' takes it back at once"
        seeded.client.wait_for(lambda s: any(said in problem for problem in s.input_problems))
        wait_until(lambda: seeded.node.log.count(said) == 1, "it in the log")
    finally:
        seeded.probe.set_parameter("follow_frame", "")


def test_pose_in_another_frame(seeded: Setup) -> None:
    """The base stands 0.25 m ahead of the map's origin."""
    stamp_ns = seeded.robot.now_ns()
    seeded.robot.transform(pose_at(-1.0), stamp_ns)
    message = stamped(pose_at(-1.2), frame="robot_base", stamp_ns=stamp_ns)
    expected = pose_at(-1.2)
    expected[0, 3] += 0.25
    torch.testing.assert_close(seeded.client.capture(message).T_world_camera, expected)


def test_streaming_draws_the_newest_pose_and_not_those_before(seeded: Setup) -> None:
    """Moves that come while a view waits replace each other."""
    topic = PUBLISHED["camera/image_raw"]
    images = seeded.probe.listen("camera/image_raw", topic.type, STREAM)
    tf = seeded.probe.listen("/tf", tf2_msgs.TFMessage, STREAM)
    seeded.client.pause()
    stamps = [seeded.client.move_to(pose_at(-1.0, 0.02 * i)) for i in range(1, 20)]
    last = link_from_camera(pose_at(-1.0, 0.02 * 19))
    tf.wait(
        lambda m: (
            m.transforms[0].child_frame_id == "vmem_link"
            and torch.allclose(transform_from_message(m.transforms[0].transform), last)
        ),
        what="the camera at its last place",
    )
    seeded.client.pause(False)
    images.wait(lambda m: stamp_to_ns(m.header.stamp) == stamps[-1], what="the view of the last pose")
    got = [stamp_to_ns(m.header.stamp) for m in images.messages]
    assert got[-1] == stamps[-1]
    # Besides the newest at most the one that was asked for first, and waited.
    assert len(set(got) & set(stamps)) <= 2
    late = seeded.probe.listen("camera/image_raw", topic.type, qos_profile(topic.qos))
    late.wait(lambda m: stamp_to_ns(m.header.stamp) == stamps[-1], what="the newest view, kept for late subscribers")


def test_plain_twist_turns(seeded: Setup) -> None:
    publisher = seeded.probe.publisher("cmd_vel", Twist, qos_profile("command"))
    retrieval = PUBLISHED["memory/retrieval"]
    views = seeded.probe.listen("memory/retrieval", retrieval.type, qos_profile(retrieval.qos))
    stamp_ns = seeded.client.move_to(pose_at(-1.0))
    views.wait(lambda m: stamp_to_ns(m.header.stamp) == stamp_ns)
    twist = Twist()
    twist.angular.z = 1.0

    def turned(message: Any) -> bool:
        q = message.pose.orientation
        return stamp_to_ns(message.header.stamp) > stamp_ns and q.z > 0.01 and abs(q.x) + abs(q.y) < 1e-9

    def turns() -> bool:
        publisher.publish(twist)  # again, because one is not followed for long
        return any(turned(message) for message in list(views.messages))

    wait_until(turns, "a view to the left")
