"""Every topic of the interface table, as another process sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Path as PathMessage
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from vmem_ros.msg import Status

from harness import CAMERA, SLOW, CameraProcess, Inbox, Probe, add_truth, pose_at, psnr, seen_from, stamped
from rooms import HALF
from vmem_ros.geometry import geodesic_distance, invert, transform
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.clouds import cloud_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import (
    T_LINK_OPTICAL,
    camera_from_link,
    link_from_camera,
    pose_from_message,
    transform_from_message,
)
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, PUBLISHED, SUBSCRIBED, message_type_name, qos_profile
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from waiting import wait_until

GENERATED, PREVIEW = "vmem_generated_optical_frame", "vmem_preview_optical_frame"
# Masks are heard with seed.mask alone: test_seed_masks.py.
HEARD = [name for name in SUBSCRIBED if name != "seed/mask"]
# Two seeds that overlap in most of the wall that the others look at.
SEEDS = (pose_at(-1.0), pose_at(-0.5, 0.6))
NEW = pose_at(-0.8, 0.3)


def absolute(name: str) -> str:
    """Return the full name of a topic of the node."""
    name = name.replace("~", NODE_NAME)
    return name if name.startswith("/") else f"/vmem/{name}"


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    inboxes: dict[str, Inbox]

    def at(self, topic: str, stamp_ns: int) -> object:
        """Return the message of a topic with a stamp."""
        return self.inboxes[topic].wait(
            lambda m: stamp_to_ns(m.header.stamp) == stamp_ns, what=f"{topic} at {stamp_ns}"
        )


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("topics")
    parameters = {
        "engine": SLOW,
        "points.stride": 1,
        "seed.pose_source": "topic",
        "memory.publish_rate_hz": 20.0,
        "geometry.prior": "room",
    }
    with CameraProcess(folder / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        inboxes = {}
        for name, topic in PUBLISHED.items():
            qos = qos_profile(topic.qos)
            qos.depth = 100  # deeper than that of the table: what comes in one burst is heard, too
            inboxes[name] = probe.listen(absolute(name), topic.type, qos)
        add_truth(client, *SEEDS)
        yield Setup(node, probe, client, inboxes)
        probe.close()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_as_the_table_says(setup: Setup, name: str) -> None:
    topic = PUBLISHED[name]
    info = setup.probe.publisher_info(absolute(name))
    expected = qos_profile(topic.qos)
    assert info.topic_type == message_type_name(topic.type)
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE == expected.reliability
    assert info.qos_profile.durability == expected.durability


@pytest.mark.parametrize("name", HEARD)
def test_subscribed_as_the_table_says(setup: Setup, name: str) -> None:
    info = setup.probe.subscription_info(absolute(name))
    assert info.topic_type == message_type_name(SUBSCRIBED[name].type)
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE


def test_stored_view_comes_back_exactly(setup: Setup) -> None:
    truth = seen_from(SEEDS[0])
    view = setup.client.capture(SEEDS[0])
    assert view.reused
    np.testing.assert_array_equal(view.image, truth.image)
    np.testing.assert_allclose(view.depth, truth.depth, rtol=1e-5)
    np.testing.assert_array_equal(view.confidence, 1.0)


def test_messages_of_one_view_share_stamp_and_frame(setup: Setup) -> None:
    stamp_ns = 1_234_567_891_234
    view = setup.client.capture(stamped(NEW, stamp_ns=stamp_ns))
    names = [n for n, t in PUBLISHED.items() if t.frame == "generated"]
    for name in names:
        assert setup.at(name, stamp_ns).header.frame_id == GENERATED, name
    image, depth = setup.at("camera/image_raw", stamp_ns), setup.at("camera/depth/image_rect", stamp_ns)
    confidence = setup.at("camera/confidence", stamp_ns)
    assert (image.encoding, depth.encoding, confidence.encoding) == ("rgb8", "32FC1", "32FC1")
    for name in ("camera/camera_info", "camera/depth/camera_info"):
        assert camera_from_message(setup.at(name, stamp_ns)) == CAMERA
    assert view.stamp_ns == stamp_ns
    torch.testing.assert_close(view.T_world_camera, NEW, rtol=0, atol=1e-9)


def test_generated_view_shows_the_room(setup: Setup) -> None:
    view, truth = setup.client.capture(NEW), seen_from(NEW)
    assert psnr(view.image, truth.image) > 25
    remembered = view.confidence > 0.9
    assert remembered.mean() > 0.8
    error = np.abs(view.depth - truth.depth.numpy()) / truth.depth.numpy()
    assert np.median(error[remembered]) < 0.01


def test_invented_pixels_say_so(setup: Setup) -> None:
    """Nobody has looked at the wall behind the seeds."""
    view = setup.client.capture(pose_at(0.0, look=(-3.0, 0.3, 0.1)))
    assert view.remembered < 0.2
    assert view.confidence.mean() < 0.2
    setup.client.undo()


def test_retrieval_names_the_views(setup: Setup) -> None:
    view = setup.client.capture(pose_at(-0.95))
    message = setup.at("memory/retrieval", view.stamp_ns)
    assert set(message.view_ids) >= {0, 1}
    assert sum(message.weights) == pytest.approx(1.0, abs=1e-5)
    assert min(message.weights) >= 0
    first = camera_from_link(pose_from_message(message.poses[list(message.view_ids).index(0)]))
    torch.testing.assert_close(first, SEEDS[0], rtol=0, atol=1e-9)
    assert not message.fallback
    assert message.remembered > 0.8


def test_all_views_of_a_path_come_in_order(setup: Setup) -> None:
    before = len(setup.inboxes["camera/image_raw"].messages)
    views = setup.client.generate([pose_at(-1.0, 0.1 * i + 0.05) for i in range(5)])
    stamps = [v.stamp_ns for v in views]
    assert stamps == sorted(stamps)
    for name in ("camera/image_raw", "camera/depth/image_rect", "camera/confidence"):
        for stamp in stamps:
            setup.at(name, stamp)
        got = [stamp_to_ns(m.header.stamp) for m in setup.inboxes[name].messages[before:]]
        assert [s for s in got if s in stamps] == stamps, name


def test_points_lie_on_the_walls_in_the_optical_frame(setup: Setup) -> None:
    view = setup.client.capture(SEEDS[1])
    cloud = cloud_from_message(setup.at("camera/points", view.stamp_ns))
    points = torch.from_numpy(np.stack([cloud[axis] for axis in "xyz"], axis=1))
    assert len(points) == CAMERA.width * CAMERA.height
    np.testing.assert_allclose(points[:, 2].reshape(CAMERA.size), view.depth)
    world = transform(view.T_world_camera, points)
    np.testing.assert_allclose((world.abs() / HALF).amax(dim=-1), 1.0, atol=1e-4)
    np.testing.assert_array_equal(cloud["rgb"].reshape(*CAMERA.size, 3), view.image)
    np.testing.assert_array_equal(cloud["intensity"].reshape(CAMERA.size), view.confidence)


@pytest.mark.parametrize("least", [0.5, 0.25, 0.0])
def test_points_that_no_camera_saw_come_only_if_asked_for(setup: Setup, set_parameter, least: float) -> None:
    """By default what is imagined is not sent, though it is remembered: more than 0.5 was seen; 0 is all."""
    assert PARAMETERS["points.min_confidence"].default == 0.5
    set_parameter("points.min_confidence", least)
    x = -0.9 - 0.01 * least
    setup.client.capture(pose_at(x, 0.1, look=(3.0, 2.5, 0.0)))
    view = setup.client.capture(pose_at(x, 0.12, look=(3.0, 2.5, 0.0)))
    cloud = cloud_from_message(setup.at("camera/points", view.stamp_ns))
    known = np.isfinite(view.depth)
    imagined = known & (view.confidence <= 0.5)
    assert (view.confidence[imagined] == 0.5).any(), "nothing is imagined and remembered"
    sent = known & (view.confidence > least) if least else known
    assert 0 < sent.sum() <= sent.size
    assert len(cloud["x"]) == sent.sum()
    np.testing.assert_array_equal(np.sort(cloud["intensity"]), np.sort(view.confidence[sent]))


def test_preview_shows_what_is_remembered_where_the_camera_is(setup: Setup) -> None:
    setup.client.move_to(SEEDS[0])
    wait_until(lambda: torch.allclose(setup.client.capture().T_world_camera, SEEDS[0]), "the camera there")
    there_ns, small = time.time_ns(), CAMERA.resized(48, 36)
    image = setup.inboxes["preview/image_raw"].wait(
        lambda m: stamp_to_ns(m.header.stamp) > there_ns, what="a preview from there"
    )
    assert image.header.frame_id == PREVIEW
    stamp = stamp_to_ns(image.header.stamp)
    depth, info = setup.at("preview/depth/image_rect", stamp), setup.at("preview/camera_info", stamp)
    assert setup.at("preview/depth/camera_info", stamp).k.tolist() == info.k.tolist()
    assert {depth.header.frame_id, info.header.frame_id} == {PREVIEW}
    assert camera_from_message(info) == small
    truth = seen_from(SEEDS[0], small)
    shown, seen = image_from_message(image), np.isfinite(map_from_message(depth))
    assert seen.mean() > 0.8
    assert psnr(shown[seen], truth.image.numpy()[seen]) > 20
    np.testing.assert_array_equal(shown[~seen], 0)
    compressed = setup.at("preview/image_raw/compressed", stamp)
    decoded = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert psnr(decoded, shown) > 25


def test_previews_follow_a_change_of_their_rate(setup: Setup, set_parameter) -> None:
    set_parameter("preview.rate_hz", 2.0)
    set_ns, inbox = time.time_ns(), setup.inboxes["preview/image_raw"]

    def stamps() -> list[int]:
        return [ns for m in list(inbox.messages) if (ns := stamp_to_ns(m.header.stamp)) > set_ns]

    # The first may have been due already.
    _, first, *_, last = wait_until(lambda: len(found := stamps()) >= 5 and found, "five previews", seen=stamps)[:5]
    assert last - first > 3 * 0.3e9  # 0.5 s apart, and one of them may be late


def test_surfels_lie_on_the_walls_and_come_late(setup: Setup) -> None:
    topic = PUBLISHED["memory/surfels"]
    late = setup.probe.listen("memory/surfels", topic.type, qos_profile(topic.qos)).wait()
    assert late.header.frame_id == "map"
    assert late.point_step == 32
    cloud = cloud_from_message(late)
    world = np.stack([cloud[axis] for axis in "xyz"], axis=1)
    assert len(world) > 200
    # The first ones come from the seeds; imagined views may put theirs elsewhere.
    np.testing.assert_allclose((np.abs(world[:500]) / HALF.numpy()).max(axis=1), 1.0, atol=1e-4)
    normals = np.stack([cloud[f"normal_{axis}"] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-3)
    assert (cloud["radius"] > 0).all()


def test_surfels_are_thinned_on_request(setup: Setup, set_parameter) -> None:
    set_parameter("memory.max_points", 50)
    setup.inboxes["memory/surfels"].wait(lambda m: m.width == 50, what="50 surfels")


def test_stored_views_are_listed(setup: Setup) -> None:
    stored = setup.client.wait_for(lambda s: s.stored_views > 0).stored_views
    views = setup.inboxes["memory/views"].wait(lambda m: len(m.poses) == stored, what=f"{stored} views")
    path = setup.inboxes["memory/path"].wait(lambda m: len(m.poses) == stored, what=f"{stored} views")
    assert views.header.frame_id == path.header.frame_id == "map"
    for index, T in enumerate(SEEDS):
        found = camera_from_link(pose_from_message(views.poses[index]))
        torch.testing.assert_close(found, T, rtol=0, atol=1e-9)
        assert path.poses[index].pose == views.poses[index]
        assert path.poses[index].header.frame_id == "map"
        assert stamp_to_ns(path.poses[index].header.stamp) > 0


def test_status_reaches_late_subscribers(setup: Setup) -> None:
    topic = PUBLISHED["~/status"]
    status = setup.probe.listen(f"/vmem/{NODE_NAME}/status", topic.type, qos_profile(topic.qos)).wait()
    assert status.state == Status.STATE_IDLE
    assert (status.engine, status.estimator, status.device) == ("slow", "memory", "cpu")
    assert status.seeded
    assert status.metric_scale
    assert status.stored_views >= 2
    assert status.stored_surfels > 200
    assert status.memory_bytes > 100_000
    assert status.error_code == 0
    assert np.isnan(status.eta_s)
    assert status.last_view_s > 0


def test_diagnostics_name_every_part(setup: Setup) -> None:
    message = setup.inboxes["/diagnostics"].wait(
        lambda m: m.status[4].values[0].value != "0", what="views in diagnostics"
    )
    parts = ["model", "generation", "preview", "seeding", "memory", "frames", "parameters", "time", "inputs"]
    assert [s.name for s in message.status] == [f"/vmem/vmem_camera: {part}" for part in parts]
    assert all(s.message for s in message.status)


@pytest.fixture(scope="module")
def tf(setup: Setup) -> tuple[Inbox, Inbox]:
    """What comes on /tf and /tf_static."""
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    return (
        setup.probe.listen("/tf", tf2_msgs.TFMessage, QoSProfile(depth=1000)),
        setup.probe.listen("/tf_static", tf2_msgs.TFMessage, qos_profile("latched")),
    )


class TestTransforms:
    """The frames, by the messages of a test overlay where tf2_msgs is not installed."""

    def find(self, inbox: Inbox, child: str, stamp_ns: int | None = None) -> object:
        def matches(message: object) -> bool:
            t = message.transforms[0]
            return t.child_frame_id == child and stamp_ns in (None, stamp_to_ns(t.header.stamp))

        return inbox.wait(matches, what=f"a transform to {child}").transforms[0]

    def test_optical_frame_is_fixed_in_the_link(self, tf: tuple[Inbox, Inbox]) -> None:
        found = self.find(tf[1], "vmem_optical_frame")
        assert found.header.frame_id == "vmem_link"
        torch.testing.assert_close(transform_from_message(found.transform), T_LINK_OPTICAL)

    def test_link_is_where_the_camera_is(self, setup: Setup, tf: tuple[Inbox, Inbox]) -> None:
        setup.client.move_to(NEW)

        def there(message: object) -> bool:
            t = message.transforms[0]
            T = transform_from_message(t.transform)
            return t.child_frame_id == "vmem_link" and torch.allclose(T, link_from_camera(NEW))

        assert tf[0].wait(there, what="the link at its new place").transforms[0].header.frame_id == "map"

    def test_late_views_have_their_place(self, setup: Setup, tf: tuple[Inbox, Inbox]) -> None:
        view = setup.client.capture(NEW)
        found = self.find(tf[0], GENERATED, view.stamp_ns)
        assert found.header.frame_id == "map"
        torch.testing.assert_close(transform_from_message(found.transform), NEW, rtol=0, atol=1e-9)

    def test_previews_have_their_place(self, setup: Setup, tf: tuple[Inbox, Inbox]) -> None:
        seen = len(setup.inboxes["preview/image_raw"].messages)
        wait_until(lambda: len(setup.inboxes["preview/image_raw"].messages) > seen, "a new preview")
        stamp_ns = stamp_to_ns(setup.inboxes["preview/image_raw"].messages[seen].header.stamp)
        self.find(tf[0], PREVIEW, stamp_ns)


def test_robot_without_tf_sends_its_pose_beside_its_images(setup: Setup) -> None:
    publishers = {n: setup.probe.publisher(n, SUBSCRIBED[n].type, qos_profile("sensor")) for n in HEARD if "seed/" in n}
    T = pose_at(-0.3, -0.4)
    view, stamp_ns = seen_from(T), setup.probe.node.get_clock().now().nanoseconds
    head = header("robot_camera", stamp_ns)
    stored = setup.client.wait_for(lambda s: s.stored_views > 0).stored_views
    publishers["seed/image"].publish(image_to_message(view.image, head))
    publishers["seed/camera_info"].publish(camera_to_message(CAMERA, head))
    publishers["seed/depth"].publish(map_to_message(view.depth, head))
    publishers["seed/pose"].publish(stamped(T, stamp_ns=stamp_ns))
    setup.client.wait_for(lambda s: s.stored_views == stored + 1)
    again = setup.client.capture(T)
    assert again.reused
    np.testing.assert_array_equal(again.image, view.image)


class TestCommands:
    def test_pose_moves_the_camera(self, setup: Setup) -> None:
        """Told in the world's frame by its name: what records it cannot know what an empty one means."""
        told = setup.probe.node.create_subscription(
            SUBSCRIBED["pose"].type, "pose", lambda m: frames.append(m.header.frame_id), qos_profile("command")
        )
        frames: list[str] = []
        setup.client.move_to(NEW)
        wait_until(lambda: torch.allclose(setup.client.capture().T_world_camera, NEW), "a view from the new pose")
        assert set(wait_until(lambda: setup.client.move_to(NEW) and frames, "a pose")) == {"map"}
        setup.probe.node.destroy_subscription(told)

    def test_path_is_sampled(self, setup: Setup, set_parameter) -> None:
        set_parameter("path.sample_distance_m", 0.3)
        set_parameter("path.heading", "given")  # all look at the wall
        publisher = setup.probe.publisher("path", SUBSCRIBED["path"].type, qos_profile("command"))
        ends = [pose_at(-1.2, y, look=(3.0, y, 0.0)) for y in (-0.5, 0.4)]
        before = len(setup.inboxes["memory/retrieval"].messages)
        poses = [stamped(T, frame="") for T in ends]
        publisher.publish(PathMessage(header=Header(frame_id="map"), poses=poses))
        wait_until(lambda: len(setup.inboxes["memory/retrieval"].messages) >= before + 4, "four views")
        setup.client.wait_for(lambda s: s.state == Status.STATE_IDLE)
        shown = setup.inboxes["memory/retrieval"].messages[before:]
        y = [m.pose.position.y for m in shown]
        np.testing.assert_allclose(y, [-0.5, -0.2, 0.1, 0.4], atol=1e-9)

    def test_twist_flies_and_stops(self, setup: Setup, set_parameter) -> None:
        set_parameter("teleop.timeout_s", 0.2)
        start = pose_at(-1.0)
        setup.client.move_to(start)
        wait_until(lambda: torch.allclose(setup.client.capture().T_world_camera, start), "the start")
        publisher = setup.probe.publisher("cmd_vel", TwistStamped, qos_profile("command"))
        twist = TwistStamped()
        twist.twist.linear.x = 0.5
        began = time.monotonic()

        def here() -> torch.Tensor:
            return setup.client.capture().T_world_camera

        def moved() -> bool:
            publisher.publish(twist)  # again, because one is not followed for long
            return not torch.allclose(here(), start)

        wait_until(moved, "a move")
        wait_until(lambda: torch.equal(here(), here()), "a stop")
        motion = invert(start) @ here()
        forward = float(motion[2, 3])
        assert 0 < forward < 0.5 * (time.monotonic() - began)
        torch.testing.assert_close(motion[:2, 3], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
        assert geodesic_distance(motion, torch.eye(4), translation_weight=0.0) < 1e-9

    @pytest.mark.parametrize("bad", ["position", "quaternion", "frame"])
    def test_bad_poses_change_nothing(self, setup: Setup, bad: str) -> None:
        setup.client.move_to(NEW)
        wait_until(lambda: torch.allclose(setup.client.capture().T_world_camera, NEW), "the pose before")
        message = stamped(pose_at(0.5), stamp_ns=1)
        if bad == "position":
            message.pose.position.x = float("nan")
        elif bad == "quaternion":
            message.pose.orientation.w += 1.0
        else:
            message.header.frame_id = "nowhere"
        publisher = setup.probe.publisher("pose", SUBSCRIBED["pose"].type, qos_profile("command"))
        refusal = "pose: TF_ERROR" if bad == "frame" else "pose: INVALID_POSE"
        logged = setup.node.log.count(refusal)

        def refused() -> bool:
            publisher.publish(message)  # again, because equal complaints are logged once a second
            return setup.node.log.count(refusal) > logged

        wait_until(refused, "a line in the log")
        torch.testing.assert_close(setup.client.capture().T_world_camera, NEW)


@pytest.fixture
def set_parameter(setup: Setup) -> Iterator[Callable[[str, object], None]]:
    """Set a parameter of the node, and put it back after the test."""
    changed = []

    def change(name: str, value: object) -> None:
        changed.append(name)
        setup.probe.set_parameter(name, value)

    yield change
    for name in changed:
        setup.probe.set_parameter(name, PARAMETERS[name].default)
