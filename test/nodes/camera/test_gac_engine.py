"""Geometry-as-Context behind the camera node, with a small random pipeline in a folder as its model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from vmem_ros.msg import Status

from harness import CameraProcess, Probe, add_truth, pose_at
from tiny_gac import tiny_gac
from vmem_ros.errors import CancelledError
from vmem_ros.generation.vmem.pipeline_folder import write_pipeline
from vmem_ros.nodes.client import CameraClient, Feedback

PATH = [pose_at(-0.8, 0.3), pose_at(-0.7, 0.2)]
# Two views, each in three steps, and the depth of each in two, as the model says.
STEPS = 10
# A cancel comes before the last of them, however busy the machine is.
MANY_STEPS = 200
# The first import of diffusers on a busy machine.
LOADING_S = 120.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    folder = tmp_path_factory.mktemp("gac")
    write_pipeline(tiny_gac(), folder / "model")
    parameters = {
        "engine": "gac",
        "model.path": folder / "model",
        "engine_options": "'{context: 2}'",
        "sampling.steps": 3,
    }
    with CameraProcess(folder / "log", parameters), CameraClient() as client:
        client.wait_until_ready(timeout_s=LOADING_S)
        yield client


def test_views_come_with_the_depth_that_it_draws_and_cancel_works_between_steps(client: CameraClient) -> None:
    add_truth(client, pose_at(-1.0))
    feedback: list[Feedback] = []
    views = client.generate(PATH, seed=7, on_feedback=feedback.append)
    assert [(f.view, f.views, f.step, f.steps) for f in feedback] == [(1, 2, i + 1, STEPS) for i in range(STEPS)]
    assert all(view.image.std() > 1 and np.isfinite(view.depth).any() for view in views)
    status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 3)
    assert (status.engine, status.error_code) == ("gac", 0)

    client.undo()
    again = client.generate(PATH, seed=7)
    for a, b in zip(views, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)

    totals: set[int] = set()

    def cancel(step: Feedback) -> None:
        totals.add(step.steps)
        if step.step >= 2:
            raise CancelledError("enough")

    probe = Probe()
    probe.set_parameter("sampling.steps", MANY_STEPS)
    probe.close()
    with pytest.raises(CancelledError, match="enough"):
        client.generate([pose_at(-0.6 + 0.02 * n) for n in range(20)], on_feedback=cancel)
    status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and "cancelled after denoising step" in s.error_msg)
    assert status.stored_views == 3
    assert totals == {STEPS + 2 * (MANY_STEPS - 3)}
