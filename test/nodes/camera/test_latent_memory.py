"""A node that remembers in latents and draws with them: two parameters and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vmem_ros.msg import Status

from harness import CameraProcess, add_truth, pose_at, seen_from
from vmem_ros.nodes.client import CameraClient
from wan_pipelines import picture_pipeline

SEEDS = (pose_at(-1.0), pose_at(-0.5, 0.6))
NEW = pose_at(-0.8, 0.3)


def figures(status: Status) -> dict[str, float]:
    """Return the numbers that the memory gives about itself."""
    return dict(zip(status.figure_names, status.figure_values, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nodes keep their worlds, and where their model is: of the real classes, with random weights."""
    folder = tmp_path_factory.mktemp("latents")
    picture_pipeline(rounds={"first": 5, "later": 5, "history": 1}).save_pretrained(folder / "model")
    return folder


def node(folder: Path, name: str) -> CameraProcess:
    return CameraProcess(
        folder / f"{name}.log",
        {"memory.kind": "latent", "engine": "mirage", "model.path": folder / "model", "world.root": folder / "worlds"},
    )


def test_latents_are_drawn_kept_shown_undone_and_saved(folder: Path) -> None:
    with node(folder, "first"), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, *SEEDS)
        status = client.wait_for(lambda s: s.stored_views == 2)
        before = figures(status)
        assert (status.engine, status.memory) == ("mirage", "latent")
        assert before["samples"] > 500
        assert before["latents"] == 0
        assert client.render(NEW, images=False).seen > 0.9
        view = client.capture(NEW)
        assert not view.reused
        remembered = view.confidence == 1
        assert remembered.mean() > 0.8
        error = np.abs(view.image.astype(int) - seen_from(NEW).image.numpy())
        assert error[remembered].mean() < 12
        after = figures(client.wait_for(lambda s: s.stored_views == 3))
        assert after["latents"] > 50, "12 x 9 cells, but for those without depth"
        client.undo()
        assert figures(client.wait_for(lambda s: s.stored_views == 2)) == before
        client.capture(NEW)
        assert figures(client.wait_for(lambda s: s.stored_views == 3)) == after
        shown = client.render(NEW)
        assert client.save("latents").stored_views == 3
    with node(folder, "second"), CameraClient() as client:
        client.wait_until_ready()
        assert client.load("latents").stored_views == 3
        assert figures(client.wait_for(lambda s: s.stored_views == 3)) == after
        np.testing.assert_array_equal(client.render(NEW).image, shown.image)
        assert client.capture(NEW).reused
