"""A node with another memory: everything it does with surfels it does with points, and with a memory of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vmem_ros.msg import Status

from harness import CameraProcess, add_truth, pose_at, seen_from
from vmem_ros.errors import WorldFileError
from vmem_ros.memory import load_memory
from vmem_ros.messages.clouds import elements_from_message
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.topic_reader import TopicReader
from vmem_ros.world import default_world
from waiting import WAIT_S

SEEDS = (pose_at(-1.0), pose_at(-0.5, 0.6))
NEW = pose_at(-0.8, 0.3)
# On a command line a mapping is text only within quotes of its own.
POINTS = {"memory.kind": "points", "memory.options": "'{voxel: 0.05}'"}
OWN = '''
"""A memory and an engine of a user's own: those of the package, under other names, with an option each."""

import torch

from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory.points import PointMemory, PointMemoryOptions


class OwnMemory(PointMemory):
    kind = "own_parts:OwnMemory"

    def __init__(self, options=None, *, device="cpu", cell=0.1):
        super().__init__(options or PointMemoryOptions(voxel=cell), device=device)

    @property
    def options(self):
        return {"cell": self.config.voxel}


class Tinted(ReprojectionGenerator):
    name = "tinted"

    def __init__(self, *, device, red):
        super().__init__(device=device)
        self.red = red

    def generate(self, recall, targets, **options):
        views = super().generate(recall, targets, **options)
        for view in views:
            view.image[..., 0] = self.red
        return views
'''


def figures(status: Status) -> dict[str, float]:
    """Return the numbers that the memory gives about itself."""
    return dict(zip(status.figure_names, status.figure_values, strict=True))


@contextmanager
def node(folder: Path, name: str, parameters: dict[str, Any], **options: Any) -> Iterator[CameraClient]:
    """A camera node with these parameters whose worlds lie in one folder, and a client of it."""
    with (
        CameraProcess(folder / f"{name}.log", {"world.root": folder / "worlds", **parameters}, **options),
        CameraClient() as client,
    ):
        client.wait_until_ready()
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where nodes keep their worlds."""
    return tmp_path_factory.mktemp("memories")


def test_points_are_seen_drawn_undone_and_saved(folder: Path) -> None:
    with node(folder, "points", POINTS) as client, TopicReader("memory/surfels") as topics:
        add_truth(client, *SEEDS)
        status = client.wait_for(lambda s: s.stored_views == 2)
        points = figures(status)["points"]
        assert points > 1000
        assert status.memory == "points"
        assert "surfels" not in figures(status)
        assert status.memory_bytes > 0

        # No normals, no radii: x y z rgb.
        message = topics.wait_for("memory/surfels", lambda m: m.width == points, timeout_s=WAIT_S)
        assert [field.name for field in message.fields] == ["x", "y", "z", "rgb"]
        cloud = elements_from_message(message)
        assert cloud.normal is None
        assert (cloud.position.abs().amax(dim=0) <= 3.1).all(), "all of it lies in the room"

        view = client.capture(NEW)
        truth = seen_from(NEW)
        assert np.abs(view.image.astype(int) - truth.image.numpy()).mean() < 12
        assert (view.confidence == 1).mean() > 0.8
        assert client.wait_for(lambda s: s.stored_views == 3)
        client.undo()
        assert figures(client.wait_for(lambda s: s.stored_views == 2))["points"] == points
        again = client.capture(NEW)
        assert not again.reused
        np.testing.assert_array_equal(again.image, view.image)

        shown = client.render(NEW)
        assert client.save("points").stored_views == 3
    with node(folder, "other", POINTS) as client:
        assert client.load("points").stored_views == 3
        assert figures(client.wait_for(lambda s: s.stored_views == 3))["points"] >= points
        np.testing.assert_array_equal(client.render(NEW).image, shown.image)
        reused = client.capture(NEW)
        assert reused.reused
        np.testing.assert_array_equal(reused.image, view.image)
        client.undo()
        assert figures(client.wait_for(lambda s: s.stored_views == 2))["points"] == points


def test_worlds_of_other_memories_are_refused_by_name(folder: Path) -> None:
    for name, memory in (("dots", load_memory("points", voxel=0.05)), ("disks", load_memory("surfel"))):
        world = default_world(memory=memory)
        world.seed(seen_from(SEEDS[1]))
        world.save(folder / "worlds" / name)
    finer = POINTS | {"memory.options": "'{voxel: 0.02}'"}
    refusals = {
        "surfels": ({}, {"dots": r"kind 'points'.*'surfel'.*memory\.kind"}),
        "finer": (finer, {"disks": r"kind 'surfel'.*'points'", "dots": r"0\.05 m wide.*0\.02 m"}),
    }
    for name, (parameters, words) in refusals.items():
        with node(folder, name, parameters) as client:
            add_truth(client, SEEDS[0])
            for world, text in words.items():
                with pytest.raises(WorldFileError, match=text):
                    client.load(world)
            assert client.render(SEEDS[0], images=False).seen > 0.9, "the world is as it was"


def test_a_memory_and_an_engine_of_ones_own(folder: Path) -> None:
    (folder / "own_parts.py").write_text(OWN, encoding="utf-8")
    own = {
        "memory.kind": "own_parts:OwnMemory",
        "memory.options": "'{cell: 0.08}'",
        "engine": "own_parts:Tinted",
        "engine_options": "'{red: 77}'",
        "composite": "none",
    }
    with node(folder, "own", own, python_path=[folder]) as client:
        add_truth(client, *SEEDS)
        status = client.wait_for(lambda s: s.stored_views == 2)
        assert (status.engine, status.memory) == ("tinted", "own_parts:OwnMemory")
        assert figures(status)["points"] > 100
        view = client.capture(NEW)
        assert (view.image[..., 0] == 77).all()
        client.save("own")
        client.reset()
        assert client.load("own").stored_views == 3
        assert client.capture(NEW).reused
