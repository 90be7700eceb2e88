"""Poses in the frames of others, found by the buffer of tf2_ros, as where ROS 2 is installed, and by our own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from geometry_msgs.msg import PoseStamped
from vmem_ros.action import GenerateViews

from harness import ROOT, CameraProcess, Inbox, Probe, add_truth, pose_at, stamped
from link_poses import pose
from simulated_time import SimulatedTime
from vmem_ros.errors import FrameError
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.delivery import wait_until_received
from vmem_ros.nodes.interface.names import NODE_NAME, PUBLISHED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import header, transform_to_message
from waiting import WAIT_S, wait_until

tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)")
SECOND = 1_000_000_000
INSTALLED = importlib.util.find_spec("tf2_ros") is not None
BUFFERS = ["tf2_ros"] if INSTALLED else ["tf2_ros", "own buffer"]
#: Where the camera is in the frame of the robot.
MOUNT = pose_at(-0.2, 0.1)


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    time: SimulatedTime
    diagnostics: Inbox
    tf: Any
    pose: Any
    buffer: str

    def send(self, T_map_robot: torch.Tensor, stamp_ns: int, *, child: str = "robot") -> None:
        """Say where the robot is."""
        message = transform_to_message(T_map_robot, header("map", stamp_ns), child)
        self.tf.publish(tf2_msgs.TFMessage(transforms=[message]))

    def seen_at(self, stamp_ns: int, *, frame: str = "robot") -> torch.Tensor:
        """Return from where the camera looks if its place in the frame of the robot is asked for."""
        return self.client.capture(stamped(MOUNT, frame=frame, stamp_ns=stamp_ns)).T_world_camera

    def moved(self) -> torch.Tensor:
        """Move the camera to its place in the frame of the robot, without a stamp, and return from where it looks."""
        self.pose.publish(stamped(MOUNT, frame="robot"))
        return self.client.capture().T_world_camera


@pytest.fixture(scope="module", params=BUFFERS)
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    stand_in = [ROOT / "test" / "overlay" / "tf2_ros"] if request.param == "tf2_ros" and not INSTALLED else []
    parameters = {"use_sim_time": True, "diagnostics.period_s": 0.1, "tf_timeout_s": 30.0}
    log = tmp_path_factory.mktemp("tf") / "log"
    with (
        CameraProcess(log, parameters, python_path=stand_in) as node,
        CameraClient(use_sim_time=True) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.wait_until_ready()
        probe = Probe()
        time = SimulatedTime(probe, client)
        time.set(1000)
        add_truth(client, pose_at(-1.0))
        topic = PUBLISHED["/diagnostics"]
        diagnostics = probe.listen("/diagnostics", topic.type, qos_profile(topic.qos))
        # The node listens from the first pose on that needs it.
        first = pool.submit(client.capture, stamped(MOUNT, frame="robot", stamp_ns=1000 * SECOND))
        tf = probe.publisher("/tf", tf2_msgs.TFMessage, qos_profile("events"))
        move = probe.publisher("pose", PoseStamped, qos_profile("command"))
        setup = Setup(node, probe, client, time, diagnostics, tf, move, request.param)

        def is_heard() -> bool:
            # A subscription that a publisher knows of need not know the publisher yet: what is said once may be lost.
            setup.send(pose(0), 1000 * SECOND)
            return first.done()

        wait_until(is_heard, "the place of the robot to be heard")
        first.result()
        yield setup
        probe.close()


def expected(T_map_robot: torch.Tensor) -> torch.Tensor:
    """Return where the camera is in the map."""
    return T_map_robot @ MOUNT


def test_diagnostics_say_which_buffer_it_is(setup: Setup) -> None:
    def source(message: Any) -> str:
        return {v.key: v.value for v in message.status[5].values}["transforms"]

    setup.diagnostics.wait(lambda m: source(m).startswith(setup.buffer), what=setup.buffer)


def test_between_two_transforms_is_between_two_places(setup: Setup) -> None:
    setup.send(pose(0), 1001 * SECOND)
    setup.send(pose(0.2, yaw_deg=20), 1002 * SECOND)
    T = setup.seen_at(1001 * SECOND + SECOND // 2)
    torch.testing.assert_close(T, expected(pose(0.1, yaw_deg=10)), rtol=0, atol=1e-9)


def test_without_a_stamp_the_newest_place_counts(setup: Setup) -> None:
    setup.send(pose(0.3), 1003 * SECOND)
    wait_until(lambda: torch.allclose(setup.moved(), expected(pose(0.3))), "the newest place")


def test_a_late_transform_is_waited_for(setup: Setup) -> None:
    action = setup.probe.action(f"{NODE_NAME}/generate", GenerateViews)
    goal = action.send_goal_async(GenerateViews.Goal(poses=[stamped(MOUNT, frame="robot", stamp_ns=1005 * SECOND)]))
    answer = wait_until(goal.result, "acceptance").get_result_async()
    setup.client.render(pose_at(-1.0), images=False)  # asked for later, and answered
    assert not answer.done()
    setup.send(pose(0.5), 1005 * SECOND)
    wait_until(answer.done, "the end of the goal")
    assert answer.result().result.generated == 1
    action.destroy()


def test_a_pose_that_waits_for_its_frame_does_not_replace_a_newer_one(setup: Setup) -> None:
    stamp_ns, newer = 1005 * SECOND, pose_at(-0.6)
    setup.pose.publish(stamped(MOUNT, frame="late", stamp_ns=stamp_ns))
    wait_until_received({"pose": setup.pose}, timeout_s=WAIT_S)
    setup.client.render(pose_at(-1.0), images=False)  # asked for later, and answered
    setup.pose.publish(stamped(newer, stamp_ns=stamp_ns))
    wait_until(lambda: torch.allclose(setup.client.capture().T_world_camera, newer), "the newer pose")
    setup.send(pose(0), stamp_ns, child="late")
    setup.client.render(stamped(MOUNT, frame="late", stamp_ns=stamp_ns), images=False)  # the frame is known
    # Whoever waits for a frame looks for it fifty times a second.
    ticks = len(setup.diagnostics.messages)
    wait_until(lambda: len(setup.diagnostics.messages) > ticks + 2, "diagnostics, ten a second")
    torch.testing.assert_close(setup.client.capture().T_world_camera, newer, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("frame", "stamp_ns"), [("gripper", 0), ("robot", 1 * SECOND), ("robot", 2000 * SECOND)])
def test_what_is_not_known_is_named(setup: Setup, frame: str, stamp_ns: int) -> None:
    setup.probe.set_parameter("tf_timeout_s", 0.0)
    with pytest.raises(FrameError, match=frame):
        setup.seen_at(stamp_ns, frame=frame)
    setup.probe.set_parameter("tf_timeout_s", 30.0)


def test_transforms_of_a_time_that_is_no_more_are_forgotten(setup: Setup) -> None:
    """What comes after time has jumped back is older than what a buffer keeps: it would be ignored."""
    setup.send(pose(0.4), 1010 * SECOND)
    torch.testing.assert_close(setup.seen_at(1010 * SECOND), expected(pose(0.4)), rtol=0, atol=1e-9)
    setup.time.set(10)
    wait_until(lambda: "time has jumped by -990.000 s" in setup.node.log, "a line in the log")
    setup.send(pose(-0.1), 10 * SECOND)
    torch.testing.assert_close(setup.seen_at(10 * SECOND), expected(pose(-0.1)), rtol=0, atol=1e-9)
    wait_until(lambda: torch.allclose(setup.moved(), expected(pose(-0.1))), "the newest place after the jump")
