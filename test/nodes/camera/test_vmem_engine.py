"""The diffusion generator behind the camera node, with a small random pipeline in a folder as its model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from vmem_ros.msg import Status

from harness import CAMERA, CameraProcess, Probe, add_truth, pose_at
from tiny_models import tiny_pipeline
from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.nodes.client import CameraClient, Feedback
from vmem_ros.pretrained.shipped import write_manifest

#: The second: a cancel comes before the last of them, however busy the machine is.
STEPS, MANY_STEPS = 6, 300
LARGEST = 128
PATH = [pose_at(-0.8, 0.3), pose_at(-0.7, 0.2)]
# The first import of diffusers on a busy machine.
LOADING_S = 120.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    folder = tmp_path_factory.mktemp("vmem")
    tiny_pipeline().save_pretrained(folder / "model")
    parameters = {
        "engine": "vmem",
        "model.path": folder / "model",
        "sampling.sampler": "fast",
        "sampling.steps": STEPS,
        "composite": "none",
        "model.max_side": LARGEST,
    }
    with CameraProcess(folder / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready(timeout_s=LOADING_S)
        yield client
        assert "Loading" not in node.log, "no progress bars between the node's messages"
        assert "it/s" not in node.log


@pytest.fixture
def seeded(client: CameraClient) -> CameraClient:
    """A world with one observed view, at rest."""
    client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)
    client.reset()
    add_truth(client, pose_at(-1.0))
    return client


def test_views_come_with_feedback_of_every_denoising_step(seeded: CameraClient) -> None:
    feedback: list[Feedback] = []
    views = seeded.generate(PATH, seed=7, on_feedback=feedback.append)
    assert [view.image.shape for view in views] == [(72, 96, 3)] * 2
    assert [(f.view, f.views, f.step, f.steps) for f in feedback] == [(1, 2, i + 1, STEPS) for i in range(STEPS)]
    assert all(view.image.std() > 1 and not view.reused for view in views)
    status = seeded.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 3)
    assert (status.engine, status.error_code) == ("vmem", 0)


def test_equal_seeds_give_equal_views(seeded: CameraClient) -> None:
    first = seeded.generate(PATH, seed=7)
    seeded.undo()
    again = seeded.generate(PATH, seed=7)
    seeded.undo()
    other = seeded.generate(PATH, seed=8)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        assert (a.image != c.image).any()


def test_cancel_in_the_middle_of_sampling_keeps_the_world(seeded: CameraClient) -> None:
    def cancel(feedback: Feedback) -> None:
        if feedback.step >= 2:
            raise CancelledError("enough")

    probe = Probe()
    probe.set_parameter("sampling.steps", MANY_STEPS)
    with pytest.raises(CancelledError, match="enough"):
        seeded.generate(PATH, on_feedback=cancel)
    status = seeded.wait_for(lambda s: s.state == Status.STATE_IDLE and "cancelled after denoising step" in s.error_msg)
    assert status.stored_views == 1
    probe.set_parameter("sampling.steps", STEPS)
    probe.close()
    assert len(seeded.generate(PATH)) == 2


def test_sampling_changes_while_the_node_runs(seeded: CameraClient) -> None:
    probe = Probe()
    probe.set_parameter("sampling.steps", 2)
    feedback: list[Feedback] = []
    seeded.generate(PATH, on_feedback=feedback.append)
    probe.set_parameter("sampling.steps", STEPS)
    probe.close()
    assert [f.step for f in feedback] == [1, 2]
    assert {f.steps for f in feedback} == {2}


def test_views_of_another_size(seeded: CameraClient) -> None:
    view = seeded.capture(PATH[0], camera=CAMERA.resized(50, 30))
    assert view.image.shape == (30, 50, 3)


def test_views_that_are_drawn_smaller_than_asked_for_are_told(seeded: CameraClient) -> None:
    """The model of these tests draws no side larger than its bound; the default one of the package likewise."""
    seeded.capture(PATH[0])
    assert not seeded.wait_for(lambda s: s.stored_views == 2).fallbacks
    seeded.capture(PATH[1], camera=CAMERA.resized(200, 150))
    (told,) = seeded.wait_for(lambda s: s.stored_views == 3).fallbacks
    assert told == f"views of 200 x 150 are drawn at {LARGEST} x 96 and enlarged (max_side is {LARGEST})"


def test_an_altered_model_is_told_and_the_node_stays(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "model")
    write_manifest(tmp_path / "model")
    weights = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    parameters = {"engine": "vmem", "model.path": tmp_path / "model"}
    node = CameraProcess(tmp_path / "log", parameters, ros_args=["-r", "__ns:=/other"])
    with node, CameraClient("other") as client:
        with pytest.raises(ModelError, match=r"unet/.*\.safetensors is truncated or altered .*: reinstall vmem_ros"):
            client.wait_until_ready(timeout_s=LOADING_S)
        status = client.wait_for(lambda s: s.state == Status.STATE_FAILED)
        assert status.error_code == ModelError.code
        assert "the engine 'reprojection' needs no model" in status.error_msg
        assert node.process.poll() is None
