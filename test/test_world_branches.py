"""Branches: equal until one of them changes, independent afterwards, and nothing is left of what was not committed."""

import gc

import pytest
import torch

from memories import CAMERA, differences, same_projection, snapshot, views_at, write
from rooms import orbit
from vmem_ros.errors import CancelledError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

VIEWS = views_at(orbit(8))
TARGETS = [Target(CAMERA, T) for T in orbit(25)[1:7]]


@pytest.fixture
def world() -> World:
    out = default_world()
    for view in VIEWS[:3]:
        out.observe(view)
    return out


class Counting(SurfelMemory):
    """Counts the views that are written."""

    written = 0

    def write(self, views, maps, *, label="", evict=True):
        self.written += len(views)
        super().write(views, maps, label=label, evict=evict)


def images(frames) -> torch.Tensor:
    return torch.stack([frame.view.image for frame in frames])


class TestUncommitted:
    def test_draws_the_same_frames_and_leaves_the_world_bit_by_bit(self, world):
        before = snapshot(world.memory)
        imagined = images(world.explore(TARGETS, seed=3, commit=False))
        assert differences(snapshot(world.memory), before) == []
        assert torch.equal(imagined, images(world.explore(TARGETS, seed=3)))
        assert len(world) == 3 + len(TARGETS)

    def test_between_its_chunks_the_world_is_as_it_was(self, world):
        before = snapshot(world.memory)
        shown = world.glimpse(TARGETS[5])
        for number, chunk in enumerate(world.explore_chunks(TARGETS, seed=3, commit=False)):
            assert chunk.first == 4 * number
            assert same_projection(world.glimpse(TARGETS[5]), shown)
            assert len(world) == 3
        assert differences(snapshot(world.memory), before) == []

    @pytest.mark.parametrize("steps", [1, 5])
    def test_cancelled(self, world, steps):
        before, seen = snapshot(world.memory), []
        with pytest.raises(CancelledError):
            list(world.explore(TARGETS, commit=False, on_progress=seen.append, should_stop=lambda: len(seen) >= steps))
        assert differences(snapshot(world.memory), before) == []

    def test_dropped_half_way(self, world):
        before = snapshot(world.memory)
        next(world.explore(TARGETS, commit=False))
        gc.collect()
        assert differences(snapshot(world.memory), before) == []


class TestBranch:
    def test_is_equal_until_one_changes(self, world):
        branch = world.branch()
        assert differences(snapshot(branch.memory), snapshot(world.memory)) == []
        before = snapshot(world.memory)
        branch.observe(VIEWS[3])
        assert len(branch) == 4
        after = snapshot(branch.memory)
        assert differences(snapshot(world.memory), before) == []
        world.observe(VIEWS[5])
        assert differences(snapshot(branch.memory), after) == []

    def test_each_is_as_if_it_were_alone(self, world):
        """Two branches and the trunk are changed in turns; each equals a world to which only its own was done."""
        trunk, left = world, world.branch()
        steps = {0: [VIEWS[3], VIEWS[4]], 1: [VIEWS[5]], 2: [VIEWS[6], VIEWS[7]]}
        trunk.observe(steps[0][0])
        left.observe(steps[1][0])
        right = left.branch()
        right.observe(steps[2][0])
        trunk.observe(steps[0][1])
        right.observe(steps[2][1])
        own = {0: steps[0], 1: steps[1], 2: steps[1] + steps[2]}
        for number, each in enumerate((trunk, left, right)):
            alone = SurfelMemory()
            for view in VIEWS[:3] + own[number]:
                write(alone, [view])
            assert differences(snapshot(each.memory), snapshot(alone)) == []

    def test_costs_what_is_added(self):
        """However much is there, only the views that versions do not share are written again."""
        memory = Counting()
        world = World(memory, ReprojectionGenerator(), default_world().estimator)
        for view in VIEWS:
            world.observe(view)
        written = memory.written
        branch = world.branch()
        branch.observe(VIEWS[0])
        for _ in range(3):
            world.glimpse(TARGETS[0])
            branch.glimpse(TARGETS[0])
        assert memory.written - written == 1 + 3

    def test_undo(self, world):
        branch = world.branch()
        list(branch.explore(TARGETS[:5], seed=0))
        branch.observe(VIEWS[4])
        branch.undo()
        branch.undo()
        assert differences(snapshot(branch.memory), snapshot(world.memory)) == []

    def test_undo_of_what_both_share(self, world):
        branch = world.branch()
        branch.observe(VIEWS[4])
        kept = snapshot(branch.memory)
        world.undo(2)
        assert (len(world), len(branch)) == (1, 4)
        assert differences(snapshot(branch.memory), kept) == []

    @pytest.mark.parametrize("forget", ["reset", "load"])
    def test_the_other_may_begin_anew(self, world, forget, tmp_path):
        branch = world.branch()
        branch.observe(VIEWS[4])
        kept = snapshot(branch.memory)
        if forget == "reset":
            world.reset()
        else:
            other = default_world()
            other.seed(VIEWS[6])
            other.save(tmp_path / "other")
            world.load(tmp_path / "other")
        assert len(world) == (0 if forget == "reset" else 1)
        assert differences(snapshot(branch.memory), kept) == []
        world.observe(VIEWS[7])
        assert len(branch) == 4

    def test_bounds_wait_until_there_is_one_version_again(self):
        world = World(
            SurfelMemory(SurfelMemoryOptions(max_views=4)), ReprojectionGenerator(), default_world().estimator
        )
        for view in VIEWS[:4]:
            world.observe(view)
        kept, branch = snapshot(world.memory), world.branch()
        for view in VIEWS[4:7]:
            branch.observe(view)
        assert len(branch) == 7
        assert differences(snapshot(world.memory), kept) == []
        branch.release()
        world.observe(VIEWS[7])
        assert len(world) == 4

    def test_what_a_driver_does_with_its_buffer_does_not_matter(self, world):
        branch = world.branch()
        view = views_at(orbit(8)[3:4])[0]
        branch.observe(view)
        after = snapshot(branch.memory)
        view.image.zero_()
        view.depth.fill_(1.0)
        world.glimpse(TARGETS[0])
        assert differences(snapshot(branch.memory), after) == []


def test_a_run_is_one_commit_and_commands_between_its_chunks_are_their_own(world):
    for number, _ in enumerate(world.explore_chunks(TARGETS)):
        if number == 0:
            world.observe(VIEWS[5])
    assert world.memory.commits == (1, 1, 1, 4, 1, 2)
    list(world.explore([Target(CAMERA, T) for T in orbit(25)[9:11]]))
    world.undo(2)
    assert world.memory.commits == (1, 1, 1, 4, 1)
