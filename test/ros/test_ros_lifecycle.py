"""Starting, stopping and breaking: transitions, signals, a kill in a save, failing engines, time that jumps."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from harness import CAMERA, SLOW, WAIT_S, CameraProcess, Probe, add_truth, pose_at, until
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rosgraph_msgs.msg import Clock
from vmem_ros.msg import Status

from vmem_ros.errors import MemoryFullError, ModelError, NotReadyError
from vmem_ros.nodes import conversions as c
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface import NODE_NAME, PUBLISHED, qos_profile

NODE = f"/vmem/{NODE_NAME}"
SEED = pose_at(-1.0)
LONG = [pose_at(-1.0, 0.05 * i) for i in range(1, 60)]


def test_transitions(tmp_path: Path) -> None:
    """Unconfigured to finalized, and what the node answers in each state."""
    with CameraProcess(tmp_path / "log", {"autostart": False}), CameraClient() as client:
        probe = Probe()
        change = probe.client(f"{NODE}/change_state", ChangeState)
        get = probe.client(f"{NODE}/get_state", GetState)

        def go(transition: int, state: int) -> None:
            request = ChangeState.Request(transition=Transition(id=transition))
            assert probe.call(change, request).success
            assert probe.call(get, GetState.Request()).current_state.id == state

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
        service = client._services["save_world"]
        service.call_async(service.srv_type.Request(overwrite=True))
        until(lambda: not mark.exists(), "the middle of the save")
        assert len(list(root.iterdir())) == 2, "the new file is written beside the old one"
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    with CameraProcess(tmp_path / "log2", {**parameters, "world.autoload": True}), CameraClient() as client:
        assert client.wait_until_ready().stored_views == 1
        assert client.capture(SEED).reused
        client.save(overwrite=True)


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


def test_bad_parameter_at_start_is_refused(tmp_path: Path) -> None:
    node = CameraProcess(tmp_path / "log", {"stamp_policy": "never"})
    assert node.wait() == 1
    assert "stamp_policy = 'never' is refused: allowed is 'request', 'publish' (default 'request')" in node.log


def test_out_of_memory_keeps_the_world(tmp_path: Path) -> None:
    with CameraProcess(tmp_path / "log", {"engine": "slow_engine:greedy"}), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, SEED)
        with pytest.raises(MemoryFullError, match="world is unchanged"):
            client.capture(pose_at(-0.8), camera=CAMERA.resized(192, 144))
        status = client.wait_for(lambda s: s.error_code == MemoryFullError.code)
        assert (status.state, status.stored_views) == (Status.STATE_IDLE, 1)
        assert client.capture(pose_at(-0.8)).remembered > 0.5
        client.wait_for(lambda s: s.error_code == 0)


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
        clock = probe.publisher("/clock", Clock, qos_profile("events"))
        until(lambda: clock.get_subscription_count() >= 2, "both clocks")
        status = PUBLISHED["~/status"]
        inbox = probe.listen(f"{NODE}/status", status.type, qos_profile(status.qos))

        def set_time(seconds: int) -> None:
            seen = len(inbox.messages)

            def arrived() -> bool:
                clock.publish(Clock(clock=c.ns_to_stamp(seconds * 10**9)))
                client.pause(False)
                return any(m.stamp.sec == seconds for m in inbox.messages[seen:])

            until(arrived, f"time {seconds}")

        set_time(1000)
        add_truth(client, SEED)
        client.move_to(SEED)
        assert until(lambda: client.capture().stamp_ns // 10**9 == 1000, "a view at time 1000")
        set_time(10)
        until(lambda: "time has jumped by -990.000 s" in node.log, "a line in the log", WAIT_S)
        view = client.capture()
        assert view.stamp_ns // 10**9 == 10
        np.testing.assert_allclose(view.T_world_camera, SEED, atol=1e-9)
        assert view.reused
        probe.close()
