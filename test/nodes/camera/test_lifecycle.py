"""Starting, stopping and breaking: transitions, signals, a kill in a save, failing engines, time that jumps."""

from __future__ import annotations

import signal
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rclpy
from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseArray, PoseStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vmem_ros.action import GenerateViews
from vmem_ros.msg import Status

from harness import CAMERA, SLOW, CameraProcess, Inbox, Probe, add_truth, pose_at, seen_from, stamped
from simulated_time import SimulatedTime
from vmem_ros.errors import (
    CancelledError,
    MemoryFullError,
    ModelError,
    NothingToUndoError,
    NotReadyError,
    WorldFileError,
)
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.node import CameraNode
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from vmem_ros.types import View
from vmem_ros.world import World
from waiting import wait_until

NODE = f"/vmem/{NODE_NAME}"
SEED = pose_at(-1.0)
LONG = [pose_at(-1.0, 0.05 * i) for i in range(1, 60)]


class Lifecycle:
    """Takes the node from state to state."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._change = probe.client(f"{NODE}/change_state", ChangeState)
        self._get = probe.client(f"{NODE}/get_state", GetState)

    def __call__(self, transition: int, state: int) -> None:
        request = ChangeState.Request(transition=Transition(id=transition))
        assert self._probe.call(self._change, request).success
        assert self._probe.call(self._get, GetState.Request()).current_state.id == state


def test_transitions(tmp_path: Path) -> None:
    """Unconfigured to finalized, and what the node answers in each state."""
    with CameraProcess(tmp_path / "log", {"autostart": False}), CameraClient() as client:
        probe = Probe()
        go = Lifecycle(probe)
        client.wait_for(lambda s: s.state == Status.STATE_UNCONFIGURED)
        with pytest.raises(NotReadyError, match="not active"):
            client.capture(SEED)
        with pytest.raises(NotReadyError, match="not active"):
            client.undo()
        go(Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE)
        client.wait_for(lambda s: s.state == Status.STATE_INACTIVE)
        with pytest.raises(NotReadyError, match="not active"):
            client.render(SEED)
        go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        client.wait_until_ready()
        add_truth(client, SEED)
        assert client.capture(SEED).reused
        go(Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
        with pytest.raises(NotReadyError, match="not active"):
            client.capture(SEED)
        go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        assert client.capture(SEED).reused
        go(Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
        go(Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED)
        client.wait_for(lambda s: s.state == Status.STATE_UNCONFIGURED)
        go(Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE)
        go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        assert client.wait_until_ready().stored_views == 0
        go(Transition.TRANSITION_ACTIVE_SHUTDOWN, State.PRIMARY_STATE_FINALIZED)
        probe.close()


@dataclass
class Running:
    """A camera that draws slowly, with one observed view."""

    client: CameraClient
    probe: Probe
    go: Lifecycle


@pytest.fixture(scope="class")
def slow_camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with CameraProcess(tmp_path_factory.mktemp("slow") / "log", {"engine": SLOW}), CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        yield Running(client, probe, Lifecycle(probe))
        probe.close()


@pytest.fixture
def running(slow_camera: Running) -> Running:
    slow_camera.client.reset()
    add_truth(slow_camera.client, SEED)
    return slow_camera


class TestOneCamera:
    """One camera, taken through its states."""

    @pytest.mark.parametrize("paused", [False, True])
    def test_deactivate_ends_requests(self, running: Running, paused: bool) -> None:
        """The running one and those that wait, each with the reason; no more is stored, and later ones are served."""
        client, go = running.client, running.go
        action = running.probe.action(f"{NODE}/generate", GenerateViews)
        goals = [action.send_goal_async(GenerateViews.Goal(poses=[stamped(T) for T in LONG])) for _ in range(2)]
        client.wait_for(lambda s: s.queued == 1 and s.stored_views > 1)
        if paused:
            client.pause()
        go(Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
        answers = [wait_until(goal.result, "acceptance").get_result_async() for goal in goals]
        for answer in answers:
            wait_until(answer.done, "the end of a goal")
            assert answer.result().status == GoalStatus.STATUS_ABORTED
            result = answer.result().result
            assert (result.error_code, result.error_msg) == (CancelledError.code, "the camera node was deactivated")
        generated = answers[0].result().result.generated
        assert 0 < generated < len(LONG)
        assert answers[1].result().result.generated == 0
        go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        client.pause(False)
        stored = client.wait_for(lambda s: s.state == Status.STATE_IDLE).stored_views
        assert generated <= stored - 1 <= generated + 2, "no more than the chunk in work"
        assert not client.capture(LONG[-1]).reused
        action.destroy()

    def test_cleanup_forgets_what_the_world_was(self, running: Running) -> None:
        """The figures of ~/status, and that generation was held."""
        client, go = running.client, running.go
        client.pause()
        assert client.wait_for(lambda s: s.state == Status.STATE_PAUSED and s.seeded).memory_bytes > 0
        go(Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
        go(Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED)
        status = client.wait_for(lambda s: s.state == Status.STATE_UNCONFIGURED and not s.seeded)
        assert (status.stored_views, status.stored_surfels, status.memory_bytes, status.engine) == (0, 0, 0, "")
        go(Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE)
        go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        client.wait_for(lambda s: s.state == Status.STATE_IDLE)
        add_truth(client, SEED)
        assert client.capture(SEED).reused

    def test_out_of_memory_keeps_the_world(self, running: Running) -> None:
        client = running.client
        with pytest.raises(MemoryFullError, match="world is unchanged"):
            client.capture(pose_at(-0.8), camera=CAMERA.resized(192, 144))
        status = client.wait_for(lambda s: s.error_code == MemoryFullError.code)
        assert (status.state, status.stored_views) == (Status.STATE_IDLE, 1)
        assert client.capture(pose_at(-0.8)).remembered > 0.5
        client.wait_for(lambda s: s.error_code == 0)


@pytest.fixture
def node_here() -> Iterator[CameraNode]:
    """A camera node in this process."""
    rclpy.init(args=["--ros-args", "-p", "engine:=reprojection", "-p", "memory.publish_rate_hz:=20.0"])
    node = CameraNode()
    yield node
    node.destroy_node()
    rclpy.shutdown()


def test_cleanup_keeps_no_view_alive(node_here: CameraNode) -> None:
    """Nor does what was published of it, logged for undo, or is waited for."""
    executor = SingleThreadedExecutor()
    executor.add_node(node_here)

    def spin_until(condition: Callable[[], Any], what: str) -> None:
        wait_until(lambda: executor.spin_once(timeout_sec=0.01) or condition(), what)

    worker = node_here.core.worker
    node_here.trigger_configure()
    node_here.trigger_activate()
    spin_until(lambda: worker.state == "ready", "the world")
    shown: list[int] = []
    listener = rclpy.create_node("listener", namespace="vmem")
    listener.create_subscription(
        PoseArray, "memory/views", lambda m: shown.append(len(m.poses)), qos_profile("latched")
    )
    executor.add_node(listener)

    def seed(world: World) -> weakref.ref[View]:
        world.observe(seen_from(SEED))
        return weakref.ref(world.memory.views[0])

    seeded = executor.create_task(node_here.core.run, seed)
    spin_until(lambda: seeded.done() and 1 in shown, "the view among those that are stored")
    view = seeded.result()
    assert view() is not None
    node_here.trigger_deactivate()
    node_here.trigger_cleanup()
    spin_until(lambda: view() is None, "the end of the view")
    listener.destroy_node()
    executor.shutdown()


def test_undo_in_a_bounded_memory(tmp_path: Path) -> None:
    """Takes back what is left of the last commit and nothing of those before, until nothing is left."""
    with CameraProcess(tmp_path / "log", {"memory.max_views": 4}), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, SEED, pose_at(-0.5, 0.6))
        client.generate(LONG[:8:2])
        add_truth(client, pose_at(-0.7))
        stored = client.wait_for(lambda s: s.stored_views > 0).stored_views
        assert stored <= 4
        client.undo()
        assert client.wait_for(lambda s: s.stored_views < stored).stored_views == stored - 1
        for _ in range(stored):
            if not client.status.seeded:
                break
            left = client.status.stored_views
            client.undo()
            client.wait_for(lambda s, left=left: s.stored_views < left)
        with pytest.raises(NothingToUndoError, match="0 are stored"):
            client.undo()


def test_interrupt_during_a_generation_ends_cleanly(tmp_path: Path) -> None:
    with CameraProcess(tmp_path / "log", {"engine": SLOW}) as node, CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, SEED)

        def interrupt(_: object) -> None:
            node.process.send_signal(signal.SIGINT)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.generate(LONG, on_feedback=interrupt)
        assert node.wait() == 0, node.log
        assert "Traceback" not in node.log, node.log


def test_kill_in_the_middle_of_a_save_keeps_the_old_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("VMEM_TEST_MARK", str(mark))
    root = tmp_path / "worlds"
    parameters = {"engine": "slow_engine:with_stuck_disk", "world.root": root, "world.path": "house"}
    node = CameraProcess(tmp_path / "log", parameters)
    with CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, SEED)
        client.save()
        add_truth(client, pose_at(-0.5))
        mark.touch()
        client.save_async(overwrite=True)
        wait_until(lambda: not mark.exists(), "the middle of the save")
        assert len(list(root.iterdir())) == 2, "the new file is written beside the old one"
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    with CameraProcess(tmp_path / "log2", {**parameters, "world.autoload": True}), CameraClient() as client:
        assert client.wait_until_ready().stored_views == 1
        assert [path.name for path in root.iterdir()] == ["house"], "what the killed process has left is removed"
        assert client.capture(SEED).reused
        client.save(overwrite=True)
        assert [path.name for path in root.iterdir()] == ["house"]
        for impossible in ("a" * 256, "house/within/a/file", "/".join("d" * 2000)):
            with pytest.raises(WorldFileError, match="cannot write"):
                client.save(impossible)


def test_engine_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node stays, says loading and then failed, and every request is told why."""
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setenv("VMEM_TEST_MARK", str(mark))
    with CameraProcess(tmp_path / "log", {"engine": "slow_engine:missing_weights"}), CameraClient() as client:
        client.wait_for(lambda s: s.state == Status.STATE_LOADING)
        with pytest.raises(NotReadyError, match="still loading"):
            client.capture(SEED)
        mark.unlink()
        with pytest.raises(ModelError, match="fetch it with"):
            client.wait_until_ready()
        with pytest.raises(NotReadyError, match=r"could not be loaded: .*fetch it with"):
            client.undo()


def test_disabled_camera_only_previews(tmp_path: Path) -> None:
    """And a node in another namespace, ended by SIGTERM."""
    arguments = ["-r", "__ns:=/other"]
    node = CameraProcess(tmp_path / "log", {"camera.mode": "disabled"}, ros_args=arguments)
    with node, CameraClient("other") as client:
        client.wait_until_ready()
        add_truth(client, SEED)
        assert client.render(SEED).seen > 0.9
        with pytest.raises(NotReadyError, match=r"camera\.mode is 'disabled'"):
            client.capture(SEED)
        assert node.stop(signal.SIGTERM) == 0, node.log


def test_time_that_jumps_back(tmp_path: Path) -> None:
    """Simulated time starts anew: stamps follow it, and the world and the camera stay."""
    with CameraProcess(tmp_path / "log", {"use_sim_time": True}) as node, CameraClient(use_sim_time=True) as client:
        client.wait_until_ready()
        probe = Probe()
        time = SimulatedTime(probe, client)
        time.set(1000)
        add_truth(client, SEED)
        client.move_to(SEED)
        assert wait_until(lambda: client.capture().stamp_ns // 10**9 == 1000, "a view at time 1000")
        time.set(10)
        wait_until(lambda: "time has jumped by -990.000 s" in node.log, "a line in the log")
        view = client.capture()
        assert view.stamp_ns // 10**9 == 10
        np.testing.assert_allclose(view.T_world_camera, SEED, atol=1e-9)
        assert view.reused
        probe.close()


@pytest.fixture
def tf2_msgs() -> ModuleType:
    return pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)")


def seconds_of(transforms: Inbox) -> list[int]:
    """Return the times of all transforms, once there are some of time 10."""
    transforms.wait(lambda m: m.transforms[-1].header.stamp.sec == 10, what="a transform of time 10")
    return [t.header.stamp.sec for m in transforms.messages for t in m.transforms]


def assert_present_from_then_on(seconds: list[int]) -> None:
    """Once something came at time 10, nothing comes at a time that is no more."""
    assert set(seconds[seconds.index(10) :]) == {10}


def test_views_asked_for_before_time_jumped_back(tmp_path: Path, tf2_msgs: ModuleType) -> None:
    """One that is drawn, one that waits and a move that is followed by a view: all get stamps of the present."""
    parameters = {"use_sim_time": True, "engine": SLOW, "camera.mode": "streaming"}
    with CameraProcess(tmp_path / "log", parameters) as node, CameraClient(use_sim_time=True) as client:
        client.wait_until_ready()
        probe = Probe()
        time = SimulatedTime(probe, client)
        time.set(1000)
        add_truth(client, SEED)
        images = probe.listen("camera/image_raw", Image, QoSProfile(depth=100))
        transforms = probe.listen("/tf", tf2_msgs.TFMessage, QoSProfile(depth=1000))
        pose = probe.publisher("pose", PoseStamped, qos_profile("command"))
        action = probe.action(f"{NODE}/generate", GenerateViews)
        goals = [
            action.send_goal_async(GenerateViews.Goal(poses=[stamped(T, stamp_ns=1001 * 10**9) for T in LONG[a:b]]))
            for a, b in ((0, 30), (30, 36))
        ]
        client.wait_for(lambda s: s.queued == 1 and s.stored_views > 1)
        client.pause()  # the one that is drawn is held between two chunks until time has jumped
        pose.publish(stamped(pose_at(-0.9), stamp_ns=1001 * 10**9))
        client.wait_for(lambda s: s.queued == 2)
        pose.publish(stamped(pose_at(-0.8), stamp_ns=1001 * 10**9))
        transforms.wait(lambda m: m.transforms[0].transform.translation.x == -0.8, what="the camera at its last place")
        time.set(10, paused=True)
        wait_until(lambda: "time has jumped by -990.000 s" in node.log, "a line in the log")
        client.pause(False)
        answers = [wait_until(goal.result, "acceptance").get_result_async() for goal in goals]
        for answer in answers:
            wait_until(answer.done, "the end of a goal")
            assert answer.result().status == GoalStatus.STATUS_SUCCEEDED
        assert {s.sec for s in answers[1].result().result.stamps} == {10}
        views = 36 + 2  # of goals and of moves
        client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 1 + views)
        wait_until(lambda: len(images.messages) == views, "all images")
        stamps = [stamp_to_ns(m.header.stamp) for m in images.messages]
        new = [stamp for stamp in stamps if stamp // 10**9 == 10]
        assert len(new) == len(set(new)) > 10
        assert_present_from_then_on([stamp // 10**9 for stamp in stamps])
        assert_present_from_then_on(seconds_of(transforms))
        action.destroy()
        probe.close()


def test_preview_asked_for_before_time_jumped_back(tmp_path: Path, tf2_msgs: ModuleType) -> None:
    """It waits for a step of the model, and is not shown any more."""
    parameters = {"use_sim_time": True, "engine": "slow_engine:creeping"}
    with CameraProcess(tmp_path / "log", parameters) as _, CameraClient(use_sim_time=True) as client:
        client.wait_until_ready()
        probe = Probe()
        time = SimulatedTime(probe, client)
        time.set(1000)
        add_truth(client, SEED)
        previews = probe.listen("preview/image_raw", Image, qos_profile("stream"))
        transforms = probe.listen("/tf", tf2_msgs.TFMessage, QoSProfile(depth=1000))
        action = probe.action(f"{NODE}/generate", GenerateViews)
        previews.wait()
        goal = action.send_goal_async(GenerateViews.Goal(poses=[stamped(LONG[0])]))
        client.wait_for(lambda s: s.state == Status.STATE_GENERATING)
        # Of a camera that stands still where time stands still, /tf says nothing new.
        for second in range(1001, 1005):
            ticks = len(transforms.messages)
            time.set(second)
            wait_until(lambda ticks=ticks: len(transforms.messages) > ticks, "the next preview to be asked for")
        time.set(10)
        previews.wait(lambda m: m.header.stamp.sec == 10)
        wait_until(wait_until(goal.result, "acceptance").get_result_async().done, "the end of the goal")
        assert_present_from_then_on(seconds_of(transforms))
        action.destroy()
        probe.close()
