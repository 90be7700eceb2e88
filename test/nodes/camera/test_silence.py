"""What arrives and is not used, or does not arrive, is named in status, diagnostics and, once, in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from geometry_msgs.msg import PoseArray, PoseStamped, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image

from harness import CAMERA, ROOT, CameraProcess, Inbox, Probe, pose_at, seen_from, stamped
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.tf import TF_INSTALLED
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, PUBLISHED, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    transform_to_message,
)
from waiting import WAIT_S, wait_until

FRAME, PERIOD_S = "camera_color_optical_frame", 1 / 30
T = pose_at(-1.0)
VIEW = seen_from(T)
SEEDS = ("seed/pose", "seed/camera_info", "seed/depth", "seed/image")
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
#: Which messages of a frame are sent, changed as a driver might get them wrong; told the number of the frame.
Spoil = Callable[[dict[str, Any], int], None]


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    diagnostics: Inbox
    publishers: dict[str, Any] = field(default_factory=dict)
    frames: int = 0
    began_ns: int = field(default_factory=time.time_ns)

    def publish(self, name: str, kind: Any = None) -> None:
        """Begin to publish a topic."""
        kind = kind or SUBSCRIBED[name].type
        self.publishers[name] = self.probe.node.create_publisher(kind, name, qos_profile("sensor"))

    def frame(self, spoil: Spoil = lambda messages, number: None) -> None:
        """Publish what a camera sends at one time, at its pace, which its stamps keep on a busy machine, too."""
        assert VIEW.depth is not None
        self.frames += 1
        head = header(FRAME, self.began_ns + int(self.frames * PERIOD_S * 1e9))
        messages: dict[str, Any] = {
            "seed/pose": stamped(T, stamp_ns=stamp_to_ns(head.stamp)),
            "seed/camera_info": camera_to_message(CAMERA, header(FRAME, stamp_to_ns(head.stamp))),
            "seed/depth": map_to_message(VIEW.depth, header(FRAME, stamp_to_ns(head.stamp))),
            "seed/image": image_to_message(VIEW.image, head),
        }
        spoil(messages, self.frames)
        for name, message in messages.items():
            if name in self.publishers:
                self.publishers[name].publish(message)
        time.sleep(PERIOD_S)

    def drive_until(self, condition: Callable[[], Any], spoil: Spoil = lambda messages, number: None) -> Any:
        """Publish frames until a condition has a true value, and return it."""
        end = time.monotonic() + WAIT_S
        while not (value := condition()):
            assert time.monotonic() < end, f"{self.client.status.input_problems}\n{self.node.log[-3000:]}"
            self.frame(spoil)
        return value

    def expect(self, text: str, spoil: Spoil = lambda messages, number: None, *, in_docs: str = "") -> str:
        """Drive until the node says a text wherever it should, once in its log; returns all of what it says.

        :param in_docs: what of it the page says, if not all.
        """
        assert (in_docs or text) in TROUBLESHOOTING.read_text(encoding="utf-8")
        before = self.node.log.count(text)  # what ends and comes back after a minute is told again
        whole, part = self.drive_until(lambda: self.told(text), spoil)
        assert part.level == b"\x01"
        assert 1 <= self.node.log.count(text) <= before + 1, self.node.log[-3000:]
        return whole

    def told(self, text: str) -> tuple[str, Any] | None:
        """Return the problem with a text in ~/status and the newest diagnostics, once it is in both."""
        whole, part = self.problem(text), self.part()
        return (whole, part) if whole and text in part.message else None

    def problem(self, text: str) -> str:
        """Return the problem in ~/status that begins with a text."""
        return next((p for p in self.client.status.input_problems if text in p), "")

    def part(self) -> Any:
        """Return what the newest diagnostics say of inputs."""
        self.diagnostics.wait(what="diagnostics")
        return next(s for s in self.diagnostics.messages[-1].status if s.name.endswith(": inputs"))

    def counts(self, name: str) -> tuple[int, int]:
        """Return how many messages of a topic came, and how many changed nothing."""
        values = {v.key: v.value for v in self.part().values}
        received, unused = (int(part.split()[-1]) for part in values[f"/vmem/{name}"].split(", "))
        return received, unused

    def recover(self) -> None:
        """Drive as a camera should until nothing is wrong."""
        self.drive_until(lambda: not self.client.status.input_problems)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    parameters = {"diagnostics.period_s": 0.1, "seed.pose_source": "topic"}
    with CameraProcess(tmp_path_factory.mktemp("silence") / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe(name="driver")
        topic = PUBLISHED["/diagnostics"]
        setup = Setup(node, probe, client, probe.listen("/diagnostics", topic.type, qos_profile(topic.qos)))
        for name in SEEDS:
            if name != "seed/depth":
                setup.publish(name)
        yield setup
        probe.close()


def test_depth_that_is_remapped_wrongly(setup: Setup) -> None:
    """First, because nobody publishes seed/depth yet."""
    setup.publish("depth_raw", Image)
    text = setup.expect(
        "/vmem/seed/depth: nobody publishes it, while seed/camera_info and seed/image and seed/pose arrive",
        in_docs="/vmem/seed/depth: nobody publishes it, while ... arrive: remap seed/depth to what the driver calls it",
    )
    assert "remap seed/depth to what the driver calls it (of its type are published: /vmem/depth_raw)" in text
    assert "seed.depth: false" in text
    assert setup.client.status.stored_views == 0
    setup.probe.node.destroy_publisher(setup.publishers.pop("depth_raw"))
    setup.publish("seed/depth")
    setup.recover()
    setup.client.wait_for(lambda s: s.stored_views == 1)


def test_depth_that_is_published_and_never_sent(setup: Setup) -> None:
    text = setup.expect(
        "/vmem/seed/depth: driver publishes it, and nothing of it arrives", lambda m, _: m.pop("seed/depth")
    )
    assert "ros2 launch vmem_ros driver.launch.xml" in text
    assert "seed.transport: compressed" in text
    setup.recover()


def test_frames_that_are_lost(setup: Setup) -> None:
    """Large messages go and small ones arrive, as with the defaults of Fast DDS."""

    def lose(messages: dict[str, Any], number: int) -> None:
        if number * 7 % 10 > 2:
            del messages["seed/image"]
        if number * 3 % 10 > 2:
            del messages["seed/depth"]

    setup.expect("frames are lost on their way here: ", lose)
    setup.drive_until(lambda: "% of /vmem/seed/image, " in setup.problem("frames are lost"), lose)
    text = setup.problem("frames are lost")
    assert "% of /vmem/seed/depth" in text
    assert "camera_info" not in text.partition(";")[0]
    assert "My camera's images do not arrive" in text
    setup.recover()


def test_camera_info_that_is_stamped_0(setup: Setup) -> None:
    def spoil(messages: dict[str, Any], _: int) -> None:
        messages["seed/camera_info"].header.stamp.sec = messages["seed/camera_info"].header.stamp.nanosec = 0

    setup.expect("/vmem/seed/camera_info: its stamps are 0, so that none belongs to /vmem/seed/image", spoil)
    setup.recover()


def later(seconds: float) -> Spoil:
    def spoil(messages: dict[str, Any], _: int) -> None:
        depth = messages["seed/depth"]
        depth.header = header(FRAME, stamp_to_ns(depth.header.stamp) + int(seconds * 1e9))

    return spoil


def test_stamps_that_are_farther_apart_than_the_slop(setup: Setup) -> None:
    """A driver that sends five frames a second, depth 60 ms after colour."""

    def spoil(messages: dict[str, Any], number: int) -> None:
        if number % 6:
            messages.clear()
        else:
            later(0.06)(messages, number)

    text = setup.expect("/vmem/seed/depth: its stamps are", spoil)
    assert "and seed.slop_s = 0.05 joins what is 50 ms apart at most: set seed.slop_s: 0.0" in text
    setup.recover()


def test_stamps_of_two_clocks(setup: Setup) -> None:
    _, before = setup.counts("seed/image")
    text = setup.expect("/vmem/seed/depth: its stamps are 100 s before those of /vmem/seed/image", later(-100.0))
    assert "use_sim_time everywhere or nowhere" in text
    wait_until(lambda: setup.counts("seed/image")[1] > before, "images that change nothing")
    setup.recover()


def test_depth_of_another_frame(setup: Setup) -> None:
    setup.expect(
        "seed/depth: its frame is 'camera_depth_optical_frame', and that of seed/image 'camera_color_optical_frame'",
        lambda m, _: setattr(m["seed/depth"].header, "frame_id", "camera_depth_optical_frame"),
    )
    setup.recover()


def test_another_type_than_is_heard(setup: Setup) -> None:
    planner = Probe(name="planner")
    planner.node.create_publisher(PoseArray, "path", qos_profile("command"))
    text = setup.expect("/vmem/path: planner publishes geometry_msgs/msg/PoseArray, and nav_msgs/msg/Path is heard")
    assert "nothing of it arrives" in text
    planner.close()
    setup.recover()


def test_a_command_that_is_refused(setup: Setup) -> None:
    publisher = setup.probe.publisher("cmd_vel", TwistStamped, qos_profile("command"))
    message = TwistStamped()
    message.twist.linear.x = float("nan")
    publisher.publish(message)
    setup.expect("cmd_vel: INVALID_POSE: cmd_vel is not finite", in_docs="cmd_vel is not finite")
    assert setup.counts("cmd_vel") == (1, 1)


def test_a_pose_in_a_frame_that_nobody_publishes(setup: Setup) -> None:
    publisher = setup.probe.publisher("pose", PoseStamped, qos_profile("command"))
    publisher.publish(stamped(T, frame="odom"))
    wait_until(lambda: "pose: TF_ERROR" in setup.node.log, "the refusal in the log")
    told = wait_until(lambda: setup.problem("pose: TF_ERROR"), "the refusal in the status")
    assert "'odom'" in told
    if TF_INSTALLED:
        assert "nobody but this node publishes /tf: start robot_state_publisher" in told


def test_a_transform_that_is_none(setup: Setup) -> None:
    """The node listens to /tf from the first pose in another frame on."""
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    setup.probe.publisher("pose", PoseStamped, qos_profile("command")).publish(stamped(T, frame="odom"))
    publisher = setup.probe.publisher("/tf", tf2_msgs.TFMessage, qos_profile("sensor"))
    message = transform_to_message(T, header("map", 1), "odom")
    message.transform.rotation.w = float("nan")
    publisher.publish(tf2_msgs.TFMessage(transforms=[message]))
    setup.expect("/tf: the transform to 'odom' is not taken")


def test_images_for_a_node_that_is_not_active(setup: Setup) -> None:
    """Last, because the node stays so."""
    change = setup.probe.client(f"/vmem/{NODE_NAME}/change_state", ChangeState)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    assert setup.probe.call(change, request).success
    received, unused = setup.counts("seed/image")
    setup.expect("seed/*: images arrive and are not used, because the camera node is not active")
    wait_until(lambda: setup.counts("seed/image")[1] > unused, "images that change nothing")
    assert setup.counts("seed/image")[0] > received
