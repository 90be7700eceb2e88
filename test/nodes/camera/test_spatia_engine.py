"""Spatia's engine behind the camera node, with a small random pipeline in a folder as its model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from vmem_ros.msg import Status

from harness import CameraProcess, Probe, add_truth, pose_at
from vmem_ros.errors import CancelledError, ErrorCode, ModelError
from vmem_ros.generation.vmem.pipeline_folder import write_pipeline
from vmem_ros.nodes.client import CameraClient, Feedback
from wan_pipelines import picture_pipeline, video_pipeline

# Turned away, where next to nothing is remembered.
PATH = [pose_at(-0.9 + 0.05 * n, look=(-3.0, 0.2, 0.0)) for n in range(6)]
# A first round of eight views, of which six are wanted; then four at a time. Two steps each.
STEPS = 2
# A cancel comes before the last of them, however busy the machine is.
MANY_STEPS = 200
# The first import of diffusers on a busy machine.
LOADING_S = 120.0


def test_a_prompt_for_a_model_that_cannot_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("silent")
    write_pipeline(picture_pipeline(), folder / "model")
    parameters = {"engine": "spatia", "model.path": folder / "model", "sampling.steps": 1}
    with CameraProcess(folder / "log", parameters), CameraClient() as client:
        client.wait_until_ready(timeout_s=LOADING_S)
        add_truth(client, pose_at(-1.0))
        with pytest.raises(ModelError, match="uses no prompt"):
            client.generate(PATH[:1], prompt="a garden")
        feedback: list[Feedback] = []
        assert len(client.generate(PATH[:2], on_feedback=feedback.append)) == 2
        assert {step.steps for step in feedback} == {1}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    folder = tmp_path_factory.mktemp("spatia")
    write_pipeline(video_pipeline(), folder / "model")
    parameters = {
        "engine": "spatia",
        "model.path": folder / "model",
        "prompt": "'a garden'",
        "camera.chunk": 8,
        "composite": "none",
    }
    with CameraProcess(folder / "log", parameters), CameraClient() as client:
        client.wait_until_ready(timeout_s=LOADING_S)
        yield client


def test_views_of_a_prompt_and_cancel_between_steps(client: CameraClient) -> None:
    add_truth(client, pose_at(-1.0))
    feedback: list[Feedback] = []
    views = client.generate(PATH, seed=7, on_feedback=feedback.append)
    assert [(f.view, f.views, f.step, f.steps) for f in feedback] == [(1, 6, i + 1, STEPS) for i in range(STEPS)]
    assert all(view.image.std() > 1 for view in views)
    status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 7)
    assert (status.engine, status.error_code) == ("spatia", ErrorCode.NONE)

    # The parameter's prompt stands where a request has none.
    drawn = []
    for prompt in ("the red walls", "a garden"):
        client.undo()
        drawn.append(client.generate(PATH, seed=7, prompt=prompt))
    for a, c, b in zip(views, *drawn, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.image != c.image).any()

    def cancel(step: Feedback) -> None:
        raise CancelledError("enough")

    probe = Probe()
    probe.set_parameter("sampling.steps", MANY_STEPS)
    probe.close()
    with pytest.raises(CancelledError, match="enough"):
        client.generate([pose_at(-0.6 + 0.02 * n) for n in range(20)], on_feedback=cancel)
    status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.error_code == ErrorCode.CANCELLED)
    assert status.stored_views == 7
