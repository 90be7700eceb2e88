"""The engine inpaint behind the camera node, with a small random pipeline in a folder as its model."""

from __future__ import annotations

from pathlib import Path

import pytest
from vmem_ros.msg import Status

from harness import CameraProcess, add_truth, pose_at
from stock_pipelines import tiny_klein
from vmem_ros.errors import CancelledError, ErrorCode
from vmem_ros.nodes.client import CameraClient, Feedback

# Turned away, where next to nothing is remembered.
PATH = [pose_at(-0.9 + 0.05 * n, look=(-3.0, 0.2, 0.0)) for n in range(3)]
# A distilled model draws each view in four.
STEPS = 4
# The first import of diffusers on a busy machine.
LOADING_S = 120.0


def test_views_one_by_one_and_cancel_between_steps(tmp_path: Path) -> None:
    tiny_klein().save_pretrained(tmp_path / "model")
    parameters = {
        "engine": "inpaint",
        "model.path": tmp_path / "model",
        "engine_options": "'{min_side: 64, holes: grey}'",
        "model.max_side": 128,
        "camera.chunk": 0,
    }
    with CameraProcess(tmp_path / "log", parameters), CameraClient() as client:
        client.wait_until_ready(timeout_s=LOADING_S)
        add_truth(client, pose_at(-1.0))
        feedback: list[Feedback] = []
        views = client.generate(PATH, seed=7, prompt="a red room", on_feedback=feedback.append)
        assert [(f.view, f.views, f.step, f.steps) for f in feedback] == [
            (view, 3, step, STEPS) for view in (1, 2, 3) for step in range(1, STEPS + 1)
        ]
        assert all(view.image.std() > 1 for view in views)
        status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 4)
        assert (status.engine, status.error_code) == ("inpaint", ErrorCode.NONE)

        def cancel(step: Feedback) -> None:
            raise CancelledError("enough")

        with pytest.raises(CancelledError, match="enough"):
            client.generate([pose_at(0.5 + 0.02 * n, look=(-3.0, 0.2, 0.0)) for n in range(9)], on_feedback=cancel)
        status = client.wait_for(lambda s: s.state == Status.STATE_IDLE)
        assert status.stored_views <= 5
        assert "cancelled" in status.error_msg
