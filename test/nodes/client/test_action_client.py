"""An action client that sends in one thread while another one takes what is answered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vmem_ros.action import GenerateViews

from harness import CameraProcess, Probe, add_truth, pose_at, stamped
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.interface.names import NODE_NAME
from waiting import wait_until


class SentSlowly:
    """The handle of an action client whose requests are answered before their senders know their numbers."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._handle, name)
        if not name.startswith("send_"):
            return value

        def send(*arguments: Any) -> Any:
            number = value(*arguments)
            time.sleep(0.5)
            return number

        return send

    def __enter__(self) -> Any:
        return self._handle.__enter__()

    def __exit__(self, *error: object) -> None:
        self._handle.__exit__(*error)


def test_what_is_answered_before_the_sender_goes_on_is_not_lost(tmp_path: Path) -> None:
    """As where a busy machine interrupts the sender between sending and noting what was sent."""
    with CameraProcess(tmp_path / "log"), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, pose_at(-1.0))
        probe = Probe()
        action = probe.action(f"{NODE_NAME}/generate", GenerateViews)
        assert isinstance(action, ThreadSafeActionClient)
        action._client_handle = SentSlowly(action._client_handle)
        goal = wait_until(
            action.send_goal_async(GenerateViews.Goal(poses=[stamped(pose_at(-0.9))])).result, "acceptance"
        )
        assert wait_until(goal.get_result_async().result, "the result").result.generated == 1
        assert wait_until(goal.cancel_goal_async().result, "an answer to the cancel") is not None
        action.destroy()
        probe.close()
