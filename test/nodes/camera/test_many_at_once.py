"""More requests at once than the queue holds: each of them gets an answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from vmem_ros.msg import Status

from harness import HERE, SLOW, CameraProcess, add_truth, pose_at
from vmem_ros.errors import ErrorCode, NotReadyError
from vmem_ros.nodes.client import CameraClient
from waiting import WAIT_S

COUNT, PROCESSES, QUEUE = 100, 2, 8


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraProcess]:
    folder = tmp_path_factory.mktemp("many")
    parameters = {"engine": SLOW, "world.root": folder / "worlds", "queue.max_length": QUEUE}
    with CameraProcess(folder / "log", parameters) as node:
        yield node


@pytest.fixture(scope="module")
def client(node: CameraProcess) -> Iterator[CameraClient]:
    with CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, pose_at(-1.0))
        yield client


def flood(kind: str) -> list[subprocess.Popen]:
    """Start processes that send requests all at once."""
    command = [sys.executable, str(HERE / "flood.py"), kind, str(COUNT)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]


def answers(process: subprocess.Popen) -> dict[ErrorCode, int]:
    """Return how many answers of each code a process got."""
    out, _ = process.communicate(timeout=2 * WAIT_S)
    assert process.returncode == 0
    return {ErrorCode(int(code)): number for code, number in json.loads(out.splitlines()[-1]).items()}


class TestMoreAtOnceThanTheQueueHolds:
    def test_every_rendering_is_answered(self, client: CameraClient) -> None:
        """While a view is drawn, between whose steps they are answered: they come faster than that."""
        drawn = client.generate_async([pose_at(-0.9, 0.01 * n) for n in range(900)])
        found = [answers(process) for process in flood("render")]
        assert not drawn.done()
        drawn.cancel()
        assert [sum(each.values()) for each in found] == [COUNT] * PROCESSES
        assert set().union(*found) == {ErrorCode.NONE, ErrorCode.QUEUE_FULL}
        client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)
        client.reset()
        add_truth(client, pose_at(-1.0))

    def test_every_goal_is_answered(self, client: CameraClient) -> None:
        """While generation is held, so that none makes room for another; then those that waited are cancelled."""
        client.pause()
        processes = flood("generate")
        client.wait_for(lambda s: s.queued == QUEUE)
        client.wait_for(lambda s: s.state == Status.STATE_PAUSED)
        # The goals that are refused come back at once, those that wait when they are cancelled.
        client.cancel()
        client.pause(False)
        found = [answers(process) for process in processes]
        assert [sum(each.values()) for each in found] == [COUNT] * PROCESSES
        assert ErrorCode.QUEUE_FULL in set().union(*found)


class TestNoAnswer:
    @pytest.mark.parametrize(
        "call",
        [
            lambda client: client.capture(),
            lambda client: client.capture(pose_at(-0.9)),
            lambda client: client.render(pose_at(-0.9)),
            lambda client: client.save("late"),
            lambda client: client.cancel(),
        ],
        ids=["capture here", "capture there", "render", "save", "cancel"],
    )
    def test_is_a_named_error(
        self, node: CameraProcess, client: CameraClient, call: Callable[[CameraClient], object]
    ) -> None:
        with CameraClient(timeout_s=1.0, silence_s=1.0) as impatient:
            impatient.wait_until_ready(timeout_s=WAIT_S)
            node.process.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(NotReadyError, match="did not answer"):
                    call(impatient)
            finally:
                node.process.send_signal(signal.SIGCONT)
        client.cancel()
        assert client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)
