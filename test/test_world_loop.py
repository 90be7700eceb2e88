"""The loop: seed, observe, explore, glimpse, undo, and coming back to the start."""

import dataclasses

import numpy as np
import pytest
import torch

from memories import CAMERA, differences, same_projection, snapshot, views_at
from rooms import box_view, orbit, psnr
from vmem_ros.errors import (
    CancelledError,
    InvalidImageError,
    MemoryFullError,
    NothingToUndoError,
    NotSeededError,
    VmemError,
)
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import look_at
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import MemoryDepth, MemoryDepthOptions
from vmem_ros.types import Target
from vmem_ros.world import Progress, World, default_world

VIEWS = views_at(orbit(8))
TARGETS = [Target(CAMERA, T, stamp_ns=n) for n, T in enumerate(orbit(24, radius=0.8)[:6])]


@pytest.fixture
def world() -> World:
    out = default_world()
    out.seed(VIEWS[0])
    return out


class TestSeeding:
    def test_seed(self, world):
        assert len(world) == 1
        assert world.memory.views[0].source == "observed"

    def test_twice(self, world):
        before = snapshot(world.memory)
        with pytest.raises(VmemError, match="seeded already"):
            world.seed(VIEWS[1])
        assert differences(snapshot(world.memory), before) == []

    def test_observe_seeds_and_adds(self):
        world = default_world()
        for n, view in enumerate(VIEWS[:3], 1):
            world.observe(dataclasses.replace(view, source="generated"))
            assert len(world) == n
            assert world.memory.views[-1].source == "observed"

    @pytest.mark.parametrize("depth", [None, torch.full(CAMERA.size, torch.nan)])
    def test_needs_depth(self, world, depth):
        before = snapshot(world.memory)
        with pytest.raises(InvalidImageError, match="depth"):
            world.observe(dataclasses.replace(VIEWS[1], depth=depth))
        assert differences(snapshot(world.memory), before) == []

    def test_before_seeding(self):
        world = default_world()
        with pytest.raises(NotSeededError, match="seed it"):
            list(world.explore(TARGETS))
        assert not world.glimpse(TARGETS[0]).seen.any()
        with pytest.raises(NothingToUndoError):
            world.undo()

    @pytest.mark.parametrize("options", [{"k": 0}, {"chunk": 0}, {"composite": "blend"}])
    def test_options(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth(), **options)


class TestExplore:
    def test_one_frame_per_target_in_order(self, world):
        frames = list(world.explore(TARGETS))
        assert len(frames) == len(TARGETS)
        assert len(world) == 1 + len(TARGETS)
        for frame, target, stored in zip(frames, TARGETS, world.memory.views[1:], strict=True):
            assert torch.equal(frame.view.T_world_camera, target.T_world_camera)
            assert frame.view.stamp_ns == target.stamp_ns
            assert frame.view.source == "generated"
            assert not frame.reused
            assert torch.equal(frame.view.image, stored.image)
            assert frame.confidence.shape == CAMERA.size
            assert same_projection(frame.projection, frame.recall.projections[TARGETS.index(target) % world.chunk])

    def test_each_chunk_is_committed_before_it_is_yielded(self, world):
        sizes = [len(world) for _ in world.explore(TARGETS)]
        assert sizes == [5, 5, 5, 5, 7, 7]

    def test_no_targets(self, world):
        assert list(world.explore([])) == []

    def test_every_pixel_is_drawn(self, world):
        away = Target(CAMERA, look_at((0, 0, 0), (0.2, -1, 0)))
        (frame,) = world.explore([away])
        assert (frame.confidence == 0).any()
        assert frame.view.image.float().std() > 0
        assert (frame.view.image.sum(dim=-1) > 0).float().mean() > 0.99

    def test_repeats_are_equal(self):
        pictures = []
        for _ in range(2):
            world = default_world()
            world.seed(VIEWS[0])
            pictures.append(torch.stack([f.view.image for f in world.explore(TARGETS, seed=3)]))
        assert torch.equal(*pictures)

    def test_progress(self, world):
        seen = []
        list(world.explore(TARGETS, on_progress=seen.append))
        assert seen[0] == Progress(view=1, views=6, step=1, steps=4, chunk=4)
        assert seen[3] == Progress(1, 6, 4, 4, 4)
        assert seen[4:] == [Progress(5, 6, 1, 2, 2), Progress(5, 6, 2, 2, 2)]
        assert [progress.fraction for progress in seen] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])

    def test_glimpses_while_it_runs(self, world):
        glimpses = []
        list(world.explore(TARGETS[:2], on_progress=lambda _: glimpses.append(world.glimpse(TARGETS[5]))))
        assert len(glimpses) == 2
        assert same_projection(*glimpses)


class TestReuse:
    def test_a_stored_pose_returns_the_stored_view(self, world):
        (frame,) = world.explore([VIEWS[0].target])
        assert frame.reused
        assert frame.view is world.memory.views[0]
        assert len(world) == 1
        assert (frame.confidence == 1).all()

    def test_among_new_ones(self, world):
        frames = list(world.explore([TARGETS[1], VIEWS[0].target, TARGETS[2]]))
        assert [f.reused for f in frames] == [False, True, False]
        assert torch.equal(frames[1].view.image, VIEWS[0].image)
        for frame, target in zip(frames, (TARGETS[1], VIEWS[0].target, TARGETS[2]), strict=True):
            assert torch.equal(frame.view.T_world_camera, target.T_world_camera)
        assert len(world) == 3

    def test_of_a_generated_view(self, world):
        first = list(world.explore(TARGETS[:3]))
        again = list(world.explore(TARGETS[:3]))
        assert all(f.reused for f in again)
        assert all(torch.equal(a.view.image, b.view.image) for a, b in zip(first, again, strict=True))

    def test_switched_off(self):
        world = default_world(reuse_views=False)
        world.seed(VIEWS[0])
        (frame,) = world.explore([VIEWS[0].target])
        assert not frame.reused
        assert len(world) == 2
        assert psnr(frame.view.image, VIEWS[0].image) > 40


class TestCancel:
    def test_before_the_first_chunk(self, world):
        before = snapshot(world.memory)
        with pytest.raises(CancelledError, match="after 0 of 6"):
            list(world.explore(TARGETS, should_stop=lambda: True))
        assert differences(snapshot(world.memory), before) == []

    def test_in_the_second_chunk_keeps_the_first(self, world):
        steps, frames = [], []
        explore = world.explore(TARGETS, on_progress=steps.append, should_stop=lambda: len(steps) == 5)
        with pytest.raises(CancelledError):
            frames.extend(explore)
        assert len(frames) == 4
        assert len(world) == 5
        other = default_world()
        other.seed(VIEWS[0])
        list(other.explore(TARGETS[:4]))
        now, then = (snapshot(w.memory, votes=False) for w in (world, other))
        assert differences(now, then) == []

    def test_closing_the_iterator_keeps_what_was_committed(self, world):
        explore = world.explore(TARGETS)
        next(explore)
        explore.close()
        assert len(world) == 5


class TestFailures:
    @pytest.mark.parametrize("on", ["device", "cpu", "numpy"])
    def test_out_of_memory_is_named_and_changes_nothing(self, world, monkeypatch, on):
        """torch has no class of error for the CPU, where no machine has these ten petabytes."""
        before = snapshot(world.memory, votes=False)

        def full(*_args, **_options):
            if on == "device":
                raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
            return torch.empty(10**16, dtype=torch.uint8) if on == "cpu" else np.empty(10**16, np.uint8)

        monkeypatch.setattr(world.estimator, "estimate", full)
        with pytest.raises(MemoryFullError, match=r"out of memory \(.* allocate .*max_views"):
            list(world.explore(TARGETS[:2]))
        assert differences(snapshot(world.memory, votes=False), before) == []


class TestGlimpse:
    def test_changes_nothing(self, world):
        before = snapshot(world.memory)
        first, second = world.glimpse(TARGETS[2]), world.glimpse(TARGETS[2])
        assert same_projection(first, second)
        assert differences(snapshot(world.memory), before) == []

    def test_does_not_change_what_is_generated_next(self, world):
        other = default_world()
        other.seed(VIEWS[0])
        for target in TARGETS:
            world.glimpse(target)
        pairs = zip(world.explore(TARGETS), other.explore(TARGETS), strict=True)
        assert all(torch.equal(a.view.image, b.view.image) for a, b in pairs)


class TestUndo:
    def test_takes_back_what_explore_added(self, world):
        before = snapshot(world.memory, votes=False)
        list(world.explore(TARGETS))
        world.undo()
        assert differences(snapshot(world.memory, votes=False), before) == []

    def test_reset_then_seed_again(self, world):
        list(world.explore(TARGETS[:2]))
        world.reset()
        assert len(world) == 0
        world.seed(VIEWS[1])
        assert len(world) == 1


class TestClosedLoop:
    def test_returning_to_the_start_shows_the_start(self):
        """Seeded with the camera's first four views, once round the room, and back, without reuse."""
        world = default_world(reuse_views=False)
        for view in VIEWS[::2]:
            world.observe(view)
        poses = orbit(16)
        loop = [Target(CAMERA, T) for T in (*poses, poses[0])]
        frames = list(world.explore(loop))
        start = box_view(CAMERA, poses[0])
        assert psnr(frames[0].view.image, start.image) > 40
        assert psnr(frames[-1].view.image, start.image) > 38
        assert psnr(frames[-1].view.image, frames[0].view.image) > 40

    def test_what_was_imagined_of_a_room_is_remembered_too(self):
        """Half out of what was seen, twice: the second look shows what the first invented."""
        world = default_world(estimator=MemoryDepth(MemoryDepthOptions(prior="room")))
        world.seed(VIEWS[0])
        nearly = VIEWS[1].T_world_camera.clone()
        nearly[0, 3] += 0.005
        (first,) = world.explore([VIEWS[1].target])
        (second,) = world.explore([Target(CAMERA, nearly)])
        assert (second.confidence > 0).float().mean() > (first.confidence > 0).float().mean() + 0.1
        again = (second.confidence == 0.5) & (first.confidence == 0)
        assert psnr(second.view.image, first.view.image, again) > 25
