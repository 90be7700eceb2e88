"""Driven by velocities of either type, and carried by a frame: bounded, and with the stamps of the frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from geometry_msgs.msg import Twist, TwistStamped

from harness import CameraProcess, Probe, add_truth, pose_at
from link_poses import pose
from vmem_ros.geometry import invert
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import camera_from_link, transform_from_message
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import header, transform_to_message
from waiting import wait_until

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)")
START = pose_at(-1.0)


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient

    def at(self, T_world_camera: torch.Tensor) -> None:
        """Put the camera somewhere, also if a velocity of another pilot is still on its way."""

        def there() -> bool:
            self.client.move_to(T_world_camera)
            return torch.allclose(self.here(), T_world_camera)

        wait_until(there, "the camera there")

    def here(self) -> torch.Tensor:
        """Return where the camera is."""
        return self.client.capture().T_world_camera


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    log = tmp_path_factory.mktemp("driven") / "log"
    with CameraProcess(log, {"teleop.timeout_s": 0.3}) as node, CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, START)
        probe = Probe()
        yield Setup(node, probe, client)
        probe.close()


@pytest.fixture
def pilot() -> Iterator[Probe]:
    """A process of its own, as far as DDS is concerned: one takes one type a topic."""
    probe = Probe(name="pilot")
    yield probe
    probe.close()


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_whichever_type_is_published_is_heard(setup: Setup, pilot: Probe, turn: int) -> None:
    """Twist first, then TwistStamped, and Twist again."""
    kind = TwistStamped if turn == 2 else Twist
    setup.at(START)
    publisher = pilot.publisher("cmd_vel", kind, qos_profile("command"))
    message = kind()
    getattr(message, "twist", message).linear.x = 0.2

    def moved() -> bool:
        publisher.publish(message)
        return float((invert(START) @ setup.here())[2, 3]) > 0.02

    wait_until(moved, "a move", seen=lambda: setup.node.log)
    said = f"/vmem/cmd_vel: hears geometry_msgs/msg/{kind.__name__} of pilot"
    wait_until(lambda: said in setup.node.log, said, seen=lambda: setup.node.log)


def test_an_absurd_velocity_is_slowed_down_and_told(setup: Setup, pilot: Probe) -> None:
    setup.at(START)
    publisher = pilot.publisher("cmd_vel", Twist, qos_profile("command"))
    message = Twist()
    message.linear.x = 1e307
    message.angular.z = 1e307

    def told() -> bool:
        publisher.publish(message)
        return "slowed down" in setup.node.log

    wait_until(told, "a line in the log")
    wait_until(lambda: torch.equal(setup.here(), setup.here()), "a stop")
    # At most so fast for as long as the test may take, instead of the end of all numbers.
    assert float(setup.here()[:3, 3].abs().max()) < 5.0 * 120
    assert "teleop.max_speed_m_s = 5" in setup.node.log


def test_a_pose_ends_a_flight(setup: Setup, pilot: Probe) -> None:
    """The latest command wins: a velocity that was heard before does not carry the camera away again."""
    setup.at(START)
    setup.probe.set_parameter("teleop.timeout_s", 10.0)  # the most that it may be
    try:
        publisher = pilot.publisher("cmd_vel", Twist, qos_profile("command"))
        message = Twist()
        message.linear.x = 0.01

        def flies() -> bool:
            publisher.publish(message)
            before = setup.here()
            return not torch.equal(before, setup.here())

        wait_until(flies, "a flight", seen=lambda: setup.node.log)
        setup.client.move_to(START)
        # Carried away again, it would not come back.
        wait_until(lambda: torch.allclose(setup.here(), START, atol=1e-9), "the camera there")
        for _ in range(5):
            torch.testing.assert_close(setup.here(), START, rtol=0, atol=1e-9)
    finally:
        setup.probe.set_parameter("teleop.timeout_s", 0.3)


def test_images_of_a_followed_frame_have_its_stamps(setup: Setup) -> None:
    """A robot drives at 1 m/s: where the image says that it was taken is where the robot was at that time."""
    tf = setup.probe.node.create_publisher(tf2_msgs.TFMessage, "/tf", qos_profile("events"))
    heard = setup.probe.listen("/tf", tf2_msgs.TFMessage, qos_profile("events"))
    previews = setup.probe.listen("preview/image_raw", PUBLISHED["preview/image_raw"].type, qos_profile("stream"))
    children = {"vmem_preview_optical_frame": camera_from_link, "vmem_link": lambda T: T}
    known: dict[int, torch.Tensor] = {}
    stop = threading.Event()

    def sent(child: str) -> dict[int, torch.Tensor]:
        return {
            stamp_to_ns(t.header.stamp): transform_from_message(t.transform)
            for m in list(heard.messages)
            for t in m.transforms
            if t.child_frame_id == child
        }

    def drive() -> None:
        clock = setup.probe.node.get_clock()
        began = clock.now().nanoseconds
        while not stop.wait(0.03):
            stamp_ns = clock.now().nanoseconds
            known[stamp_ns] = pose((stamp_ns - began) * 1e-9 - 2.0)
            moved = transform_to_message(known[stamp_ns], header("map", stamp_ns), "robot_camera_link")
            tf.publish(tf2_msgs.TFMessage(transforms=[moved]))

    driver = threading.Thread(target=drive)
    driver.start()
    try:
        setup.probe.set_parameter("follow_frame", "robot_camera_link")

        def followed() -> list[int]:
            stamps = {stamp_to_ns(m.header.stamp) for m in list(previews.messages)}
            return sorted(stamps & set(known))

        wait_until(lambda: len(followed()) >= 5, "five previews with stamps of the robot")
        for child in children:
            wait_until(lambda child=child: len(sent(child).keys() & set(known)) >= 5, f"five transforms of {child}")
        view = setup.client.capture()
        wait_until(lambda: view.stamp_ns in known, "the transform of the view")
    finally:
        stop.set()
        driver.join()
        setup.probe.set_parameter("follow_frame", "")
    torch.testing.assert_close(view.T_world_camera, camera_from_link(known[view.stamp_ns]), rtol=0, atol=1e-9)
    for child, expected in children.items():
        for stamp_ns, T in sent(child).items():
            if stamp_ns in known:
                torch.testing.assert_close(T, expected(known[stamp_ns]), rtol=0, atol=1e-9)
