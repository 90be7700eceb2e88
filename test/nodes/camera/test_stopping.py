"""How the node ends: at once and without a trace, whatever it is doing, and only when it is told to."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from vmem_ros.action import GenerateViews
from vmem_ros.msg import Status

from harness import CameraProcess, Probe, add_truth, pose_at, stamped
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME
from waiting import wait_until

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
#: Launch kills what has not ended 5 s after it was told to; a busy machine takes longer, and less than for ever.
PATIENCE_S = 20.0
SEGMENT = re.compile(r"/dev/shm/fastrtps_[0-9a-f]{16}\b")


def mapped(process_id: int) -> str:
    """What a process has mapped into its memory."""
    return Path(f"/proc/{process_id}/maps").read_text(encoding="utf-8")


@SIGNALS
def test_while_it_is_imported(tmp_path: Path, number: signal.Signals) -> None:
    with CameraProcess(tmp_path / "log") as node:
        wait_until(lambda: "libtorch" in mapped(node.process.pid), "the imports")
        assert node.stop(number) == 0, node.log
        assert node.log == ""


@SIGNALS
@pytest.mark.slow
def test_while_the_model_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    monkeypatch.setenv("VMEM_TEST_MARK", str(mark))
    with CameraProcess(tmp_path / "log", {"engine": "slow_engine:missing_weights"}) as node:
        with CameraClient() as client:
            client.wait_for(lambda s: s.state == Status.STATE_LOADING)
        begun = time.monotonic()
        assert node.stop(number) == 0, node.log
        assert time.monotonic() - begun < PATIENCE_S
        assert "Traceback" not in node.log
        assert "stops without waiting" in node.log


@pytest.mark.slow
def test_in_a_step_that_never_ends(tmp_path: Path) -> None:
    """It is no crash, and what lay in shared memory is gone."""
    with CameraProcess(tmp_path / "log", {"engine": "slow_engine:endless"}) as node:
        # Its own: later it maps those of others as well.
        segments = wait_until(lambda: SEGMENT.findall(mapped(node.process.pid)), "its shared memory")
        with CameraClient() as client:
            client.wait_until_ready()
            add_truth(client, pose_at(-1.0))
            probe = Probe()
            action = probe.action(f"/vmem/{NODE_NAME}/generate", GenerateViews)
            action.send_goal_async(GenerateViews.Goal(poses=[stamped(pose_at(-0.9))]))
            client.wait_for(lambda s: s.state == Status.STATE_GENERATING)
            action.destroy()
            probe.close()
        assert node.stop(signal.SIGTERM) == 0, node.log
        assert "Traceback" not in node.log
        assert [segment for segment in set(segments) if Path(segment).exists()] == []
