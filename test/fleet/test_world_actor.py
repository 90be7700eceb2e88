"""A world and its checkpoints, without a cluster: what is asked twice is done once, what is lost comes back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from comparisons import equal
from small_worlds import look_around, save_small_world
from vmem_ros.errors import NothingToUndoError, WorldFileError
from vmem_ros.fleet.world_actor import WorldActor
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.world import default_world
from vmem_ros.world_file import read_world


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> WorldSetup:
    path = save_small_world(tmp_path_factory.mktemp("world") / "room.world")
    return WorldSetup(world=str(path), engine="reprojection")


def explore(actor: WorldActor, number: int):
    _, start = actor.begin()
    return actor.explore(number, look_around(start, number), prompt=None, seed=number)


def same(one, other) -> bool:
    return all(np.array_equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def same_files(one: Path, other: Path) -> bool:
    a, b = read_world(one)[0], read_world(other)[0]
    return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)


def test_it_answers_as_a_world_does(setup, tmp_path):
    actor = WorldActor(setup, tmp_path, seed=0)
    number, start = actor.begin()
    assert number == 0
    found = [frame for number in (1, 2) for frame in explore(actor, number)]
    own = default_world()
    own.load(setup.world)
    expected = [frame for n in (1, 2) for frame in own.explore(look_around(start, n), seed=n)]
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a["image"], b.view.image.numpy())
        assert np.array_equal(a["confidence"], b.confidence.numpy())
    assert actor.glimpse(2, start)["confidence"].min() == 1
    actor.save(2, tmp_path / "out" / "saved.world")
    own.save(tmp_path / "own.world")
    assert same_files(tmp_path / "out" / "saved.world", tmp_path / "own.world")


def test_a_lost_world_comes_back_and_a_repeated_request_is_done_once(setup, tmp_path):
    """The answer of the last request is lost after its checkpoint was written, and before."""
    calm = WorldActor(setup, tmp_path / "calm", seed=3)
    expected = [explore(calm, number) for number in (1, 2, 3)]
    actor = WorldActor(setup, tmp_path / "lossy", seed=3)
    found = [explore(actor, number) for number in (1, 2)]
    again = WorldActor(setup, tmp_path / "lossy", seed=3)
    assert same(explore(again, 2), found[1])
    (tmp_path / "lossy" / "00000002.world").unlink()
    actor = WorldActor(setup, tmp_path / "lossy", seed=3)
    assert same(explore(actor, 2), found[1])
    found.append(explore(actor, 3))
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    assert same_files(tmp_path / "lossy" / "00000003.world", tmp_path / "calm" / "00000003.world")


def test_it_goes_on_where_it_was_left_and_keeps_two_checkpoints(setup, tmp_path):
    actor = WorldActor(setup, tmp_path, seed=1)
    _, start = actor.begin()
    for number in (1, 2, 3):
        explore(actor, number)
    number, place = WorldActor(setup, tmp_path, seed=1).begin()
    assert number == 3
    assert torch.equal(place.T_world_camera, start.T_world_camera)
    assert sorted(path.name for path in tmp_path.glob("*.world")) == ["00000002.world", "00000003.world"]


def test_a_request_that_fails_leaves_the_world_and_its_order(setup, tmp_path):
    actor = WorldActor(setup, tmp_path, seed=0)
    _, start = actor.begin()
    with pytest.raises(NothingToUndoError):
        actor.undo(1, 99)
    explore(actor, 2)
    actor.undo(3, 1)
    assert len(actor._at(3)) == 3
    actor.observe(4, default_view(setup, start), mask=None)
    assert len(WorldActor(setup, tmp_path, seed=0)._at(4)) == 4


def default_view(setup, target):
    own = default_world()
    own.load(setup.world)
    return own.memory.views[0]


def test_a_checkpoint_that_is_not_there(setup, tmp_path):
    actor = WorldActor(setup, tmp_path, seed=0)
    actor.begin()
    with pytest.raises(WorldFileError, match="all nodes must share"):
        explore(actor, 7)


def test_it_does_not_matter_whether_it_begins_in_a_branch(setup, tmp_path):
    """Worlds of files begin as branches, and those that come back do not: bounds would count differently."""
    actor = WorldActor(setup, tmp_path, seed=0)
    actor.begin()
    assert not actor._at(0)._version.branched
