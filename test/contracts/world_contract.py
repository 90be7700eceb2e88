"""What worlds promise over any memory: runs without a trace, independent branches, undo, saving, cancelling.

class TestWorldsOfMyMemory(WorldContract):
    def make(self):
        return load_memory("my_package:MyMemory")
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from comparisons import differences, equal, same_projection, snapshot
from faults import failing_at, moments, operations_of
from memory_subject import CAMERA, VIEWS, MemorySubject
from memory_writing import check_same
from rooms import orbit
from vmem_ros.errors import CancelledError, MemoryFullError, NothingToUndoError, NotSeededError, WorldFileError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.pointmaps.options import MemoryDepthOptions
from vmem_ros.protocols import Generator, PointMapEstimator
from vmem_ros.types import Target
from vmem_ros.world import Frame, World
from vmem_ros.world_imagining import as_paths

PATH = [Target(CAMERA, T, stamp_ns=n) for n, T in enumerate(orbit(25)[1:7])]
OTHER_PATH = [Target(CAMERA, T) for T in orbit(25, radius=0.7)[9:12]]


def images(frames: Iterable[Frame]) -> torch.Tensor:
    """Return the images of some frames [N, H, W, 3]."""
    return torch.stack([frame.view.image for frame in frames])


class WorldContract(MemorySubject):
    """Worlds over the memory that :meth:`make` returns, with a generator that is fast and repeats itself."""

    def generator(self) -> Generator:
        """Return the generator of these worlds."""
        return ReprojectionGenerator()

    def estimator(self) -> PointMapEstimator:
        """Return the estimator of these worlds. Holes have the depth of a room, so that what is drawn is written."""
        return MemoryDepth(MemoryDepthOptions(prior="room"))

    def world(self, seen: int = 3, max_views: int | None = None) -> World:
        """Return a world that has seen so many views."""
        memory = self.make() if max_views is None else self.bounded(max_views)
        world = World(memory, self.generator(), self.estimator(), chunk=2)
        for view in VIEWS[:seen]:
            world.observe(view)
        return world

    # Runs

    def test_before_seeding(self) -> None:
        world = self.world(0)
        with pytest.raises(NotSeededError):
            list(world.explore(PATH))
        assert not world.glimpse(PATH[0]).seen.any()
        with pytest.raises(NothingToUndoError):
            world.undo()

    def test_a_run_is_one_commit(self) -> None:
        world = self.world()
        before = snapshot(world.memory, votes=False)
        frames = list(world.explore(PATH, seed=1))
        assert [f.view.stamp_ns for f in frames] == list(range(6))
        assert tuple(world.memory.commits) == (1, 1, 1, 6)
        world.undo()
        assert differences(snapshot(world.memory, votes=False), before) == []

    def test_equal_worlds_explore_alike(self) -> None:
        one, other = self.world(), self.world()
        assert torch.equal(images(one.explore(PATH, seed=1)), images(other.explore(PATH, seed=1)))
        check_same(one.memory, other.memory)

    def test_what_was_generated_is_remembered(self) -> None:
        world = self.world(1)
        first = list(world.explore(PATH[:3], seed=1))
        again = list(world.explore(PATH[:3], seed=2))
        assert all(frame.reused for frame in again)
        assert torch.equal(images(first), images(again))

    def test_a_run_without_commit_draws_the_same_and_leaves_no_trace(self) -> None:
        world = self.world()
        before = snapshot(world.memory)
        imagined = images(world.explore(PATH, seed=3, commit=False))
        assert differences(snapshot(world.memory), before) == []
        assert torch.equal(imagined, images(world.explore(PATH, seed=3)))

    def test_nor_does_it_between_its_chunks(self) -> None:
        world = self.world()
        before, shown = snapshot(world.memory), world.glimpse(PATH[5])
        for _ in world.explore_chunks(PATH, seed=3, commit=False):
            assert same_projection(world.glimpse(PATH[5]), shown)
            assert differences(snapshot(world.memory), before) == []

    def test_paths_are_imagined_as_runs_without_commit(self) -> None:
        world = self.world()
        before, paths = snapshot(world.memory), [PATH, OTHER_PATH, PATH[3:4]]
        imagined = world.imagine(paths, seed=3)
        assert differences(snapshot(world.memory), before) == []
        assert tuple(world.memory.commits) == (1, 1, 1)
        for path, found in zip(paths, imagined, strict=True):
            expected = list(world.explore(path, seed=3, commit=False))
            assert torch.equal(images(view.frame for view in found.views), images(expected))
            for view, frame in zip(found.views, expected, strict=True):
                assert equal(view.frame.view.depth, frame.view.depth)
                assert torch.equal(view.frame.confidence, frame.confidence)

    def test_nor_do_they_leave_a_trace_between_their_chunks(self) -> None:
        world = self.world()
        before, shown, glimpses = snapshot(world.memory), world.glimpse(PATH[5]), []
        views = world.imagine_views(
            [PATH, OTHER_PATH], seed=3, on_progress=lambda _: glimpses.append(world.glimpse(PATH[5]))
        )
        for _ in views:
            assert same_projection(world.glimpse(PATH[5]), shown)
            assert differences(snapshot(world.memory), before) == []
        assert all(same_projection(glimpse, shown) for glimpse in glimpses)

    def test_imagining_goes_on_from_the_world_as_it_was(self) -> None:
        """Whatever becomes of the world between two chunks: another run, an undo."""
        world = self.world()
        expected = world.imagine([PATH, OTHER_PATH], seed=3)
        views = world.imagine_views([PATH, OTHER_PATH], seed=3)
        found = [next(views)]
        list(world.explore(OTHER_PATH[:1], seed=4))
        found += [next(views) for _ in range(2)]
        world.undo(2)
        found += views
        assert tuple(world.memory.commits) == (1, 1)
        for path, again in zip(expected, as_paths(2, found), strict=True):
            assert torch.equal(images(v.frame for v in path.views), images(v.frame for v in again.views))

    @pytest.mark.parametrize("commit", [True, False])
    def test_a_run_that_is_cancelled_keeps_what_it_yielded(self, commit: bool) -> None:
        world, steps, frames = self.world(), [], []
        before = snapshot(world.memory)
        run = world.explore(PATH, seed=1, commit=commit, on_progress=steps.append, should_stop=lambda: len(steps) >= 3)
        with pytest.raises(CancelledError):
            frames.extend(run)
        assert len(frames) == 2
        if commit:
            other = self.world()
            list(other.explore(PATH[:2], seed=1))
            assert differences(snapshot(world.memory, votes=False), snapshot(other.memory, votes=False)) == []
        else:
            assert differences(snapshot(world.memory), before) == []

    def test_a_run_without_commit_that_is_dropped(self) -> None:
        world = self.world()
        before = snapshot(world.memory)
        next(world.explore(PATH, commit=False))
        gc.collect()
        assert differences(snapshot(world.memory), before) == []
        list(world.explore(PATH[:2]))
        assert tuple(world.memory.commits) == (1, 1, 1, 2)

    def test_a_run_goes_on_after_one_without_commit(self) -> None:
        """Between two chunks another path is imagined: the run is still one commit, and draws what it would have."""
        world, alone = self.world(), self.world()
        frames = []
        for chunk in world.explore_chunks(PATH, seed=1):
            frames += chunk.frames
            list(world.explore(OTHER_PATH, seed=2, commit=False))
        assert torch.equal(images(frames), images(alone.explore(PATH, seed=1)))
        assert tuple(world.memory.commits) == (1, 1, 1, 6)
        world.undo()
        assert differences(snapshot(world.memory, votes=False), snapshot(self.world().memory, votes=False)) == []

    def test_two_runs_without_commit_in_turns(self) -> None:
        world = self.world()
        before = snapshot(world.memory)
        expected = [images(self.world().explore(path, seed=4, commit=False)) for path in (PATH, OTHER_PATH)]
        runs = [world.explore_chunks(path, seed=4, commit=False) for path in (PATH, OTHER_PATH)]
        drawn: list[list[Frame]] = [[], []]
        for _ in range(3):
            for run, frames in zip(runs, drawn, strict=True):
                frames += next(run, None).frames if len(frames) < (6 if frames is drawn[0] else 3) else ()
        assert all(torch.equal(images(a), b) for a, b in zip(drawn, expected, strict=True))
        assert differences(snapshot(world.memory), before) == []

    # Branches

    def test_a_branch_is_equal_until_one_changes(self) -> None:
        world = self.world()
        branch = world.branch()
        before = snapshot(world.memory)
        assert differences(snapshot(branch.memory), before) == []
        branch.observe(VIEWS[1])
        after = snapshot(branch.memory)
        assert differences(snapshot(world.memory), before) == []
        world.observe(VIEWS[5])
        assert differences(snapshot(branch.memory), after) == []

    def test_each_is_as_if_it_were_alone(self) -> None:
        """Trunk and two branches, one of the other, changed and read in turns."""
        trunk = self.world()
        trunk.observe(VIEWS[3])
        left = trunk.branch()
        left.observe(VIEWS[1])
        list(trunk.explore(PATH[:3], seed=5))
        right = left.branch()
        list(right.explore(PATH[2:5], seed=6))
        left.glimpse(PATH[0])
        trunk.observe(VIEWS[4])
        list(left.explore(PATH[:2], seed=7))
        right.observe(VIEWS[6])
        right.undo(2)
        right.observe(VIEWS[7])
        alone = [self.world() for _ in range(3)]
        for each in alone:
            each.observe(VIEWS[3])
        list(alone[0].explore(PATH[:3], seed=5))
        alone[0].observe(VIEWS[4])
        alone[1].observe(VIEWS[1])
        list(alone[1].explore(PATH[:2], seed=7))
        alone[2].observe(VIEWS[1])
        alone[2].observe(VIEWS[7])
        for each, expected in zip((trunk, left, right), alone, strict=True):
            assert differences(snapshot(each.memory, votes=False), snapshot(expected.memory, votes=False)) == []
            assert all(same_projection(each.glimpse(t), expected.glimpse(t)) for t in OTHER_PATH)

    def test_reads_of_branches_leave_no_trace(self) -> None:
        world = self.world()
        before = snapshot(world.memory)
        branch = world.branch()
        list(branch.explore(PATH[:4], seed=1))
        list(world.explore(PATH[:2], seed=1, commit=False))
        branch.release()
        assert differences(snapshot(world.memory), before) == []

    def test_undo_below_the_fork(self) -> None:
        """What both share goes from one; the other keeps it."""
        world = self.world()
        branch = world.branch()
        branch.observe(VIEWS[4])
        kept = snapshot(branch.memory)
        world.undo(2)
        assert (len(world), len(branch)) == (1, 4)
        assert differences(snapshot(branch.memory), kept) == []
        assert differences(snapshot(world.memory), snapshot(self.world(1).memory)) == []
        branch.undo(3)
        assert differences(snapshot(branch.memory), snapshot(self.world(1).memory)) == []
        world.observe(VIEWS[1])
        assert (len(world), len(branch)) == (2, 1)

    def test_undo_of_more_than_there_is(self) -> None:
        world = self.world()
        branch = world.branch()
        branch.observe(VIEWS[4])
        kept = snapshot(branch.memory)
        for n in (0, 5):
            with pytest.raises(NothingToUndoError):
                branch.undo(n)
        assert differences(snapshot(branch.memory), kept) == []
        assert len(world) == 3

    @pytest.mark.parametrize("forget", ["reset", "load"])
    @pytest.mark.parametrize("which", ["trunk", "branch"])
    def test_one_may_begin_anew_while_the_other_lives(self, forget: str, which: str, tmp_path: Path) -> None:
        self.world(1).save(tmp_path / "other")
        trunk = self.world()
        branch = trunk.branch()
        branch.observe(VIEWS[4])
        one, other = (trunk, branch) if which == "trunk" else (branch, trunk)
        kept = snapshot(other.memory)
        if forget == "reset":
            one.reset()
        else:
            one.load(tmp_path / "other")
        assert len(one) == (0 if forget == "reset" else 1)
        one.observe(VIEWS[7])
        assert differences(snapshot(other.memory), kept) == []
        other.observe(VIEWS[5])
        assert len(one) == (1 if forget == "reset" else 2)

    def test_the_trunk_may_go_first(self) -> None:
        branch = self.world().branch()
        gc.collect()
        list(branch.explore(PATH[:3], seed=1))
        alone = self.world()
        list(alone.explore(PATH[:3], seed=1))
        assert differences(snapshot(branch.memory, votes=False), snapshot(alone.memory, votes=False)) == []
        assert tuple(branch.memory.commits) == (1, 1, 1, 3)

    def test_a_run_in_a_branch_goes_on_when_the_trunk_is_gone(self) -> None:
        world = self.world()
        branch = world.branch()
        run = branch.explore_chunks(PATH[:4], seed=1)
        next(run)
        world.release()
        list(run)
        assert tuple(branch.memory.commits) == (1, 1, 1, 4)

    def test_memory_that_runs_out_between_versions_loses_nothing(self) -> None:
        world = self.world()
        branch = world.branch()
        # Of two chunks, so that there is something between two writes.
        list(branch.explore(PATH[:4], seed=1))
        branch.observe(VIEWS[4])
        kept, before = snapshot(branch.memory), snapshot(world.memory)
        operations = operations_of(lambda: branch.memory)
        failed = 0
        for number in moments(operations, 12):
            assert len(world.memory) == 3
            failed += failing_at(lambda: branch.memory, number)
        assert failed > 6
        assert differences(snapshot(branch.memory), kept) == []
        assert differences(snapshot(world.memory), before) == []

    def test_memory_that_runs_out_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = self.world()
        before = snapshot(world.memory, votes=False)

        def full(*_: object, **__: object) -> None:
            raise torch.OutOfMemoryError("2 GiB wanted")

        monkeypatch.setattr(world.memory, "write", full)
        for act in (lambda: world.observe(VIEWS[4]), lambda: list(world.explore(PATH[:2]))):
            with pytest.raises(MemoryFullError, match="2 GiB wanted"):
                act()
        assert differences(snapshot(world.memory, votes=False), before) == []

    def test_forgetting_waits_while_branches_live(self) -> None:
        world = self.world(4, max_views=4)
        kept, branch = snapshot(world.memory), world.branch()
        for view in VIEWS[4:7]:
            branch.observe(view)
        assert len(branch) == 7
        assert differences(snapshot(world.memory), kept) == []
        world.observe(VIEWS[7])
        assert len(world) == 5
        branch.release()
        world.observe(VIEWS[4])
        assert len(world) <= 4

    # Files

    def test_saving_and_loading(self, tmp_path: Path) -> None:
        world = self.world()
        list(world.explore(PATH[:3], seed=1))
        world.save(tmp_path / "world")
        other = self.world(1)
        other.load(tmp_path / "world")
        check_same(other.memory, world.memory)
        assert tuple(other.memory.commits) == (1, 1, 1, 3)
        for each in (world, other):
            each.undo()
        check_same(other.memory, world.memory)

    def test_a_branch_saves_what_is_in_it(self, tmp_path: Path) -> None:
        world = self.world()
        branch = world.branch()
        list(branch.explore(PATH[:2], seed=1))
        assert len(world.memory) == 3
        branch.save(tmp_path / "branch")
        other = self.world(0)
        other.load(tmp_path / "branch")
        check_same(other.memory, branch.memory)

    def test_a_world_of_another_kind_is_refused_by_name(self, tmp_path: Path) -> None:
        kind = self.make().kind
        theirs = "surfel" if kind != "surfel" else "points"
        stranger = World(load_memory(theirs), self.generator(), self.estimator())
        stranger.observe(VIEWS[0])
        stranger.save(tmp_path / "stranger")
        world = self.world()
        before = snapshot(world.memory)
        with pytest.raises(WorldFileError, match=f"{theirs}.*{kind}"):
            world.load(tmp_path / "stranger")
        assert differences(snapshot(world.memory), before) == []

    def test_a_damaged_file_changes_nothing(self, tmp_path: Path) -> None:
        self.world().save(tmp_path / "world")
        (file,) = [path for path in tmp_path.rglob("*") if path.is_file()][:1]
        whole = file.read_bytes()
        world = self.world(2)
        branch = world.branch()
        branch.observe(VIEWS[5])
        kept, before = snapshot(branch.memory), snapshot(world.memory)
        for damage in (whole[:-100], whole[: len(whole) // 2] + b"\x00" * 64 + whole[len(whole) // 2 + 64 :]):
            file.write_bytes(damage)
            for each in (world, branch):
                with pytest.raises(WorldFileError):
                    each.load(tmp_path / "world")
        assert differences(snapshot(world.memory), before) == []
        assert differences(snapshot(branch.memory), kept) == []

    # Cameras

    def test_views_without_depth_join_a_world(self) -> None:
        world = self.world()
        sizes = len(world.memory.elements())
        blind = dataclasses.replace(VIEWS[3], depth=torch.where(VIEWS[3].depth > 0, torch.inf, torch.nan))
        world.observe(blind)
        assert len(world) == 4
        assert len(world.memory.elements()) == sizes

    def test_pixels_that_move_are_not_remembered(self) -> None:
        world = self.world(0)
        mask = torch.zeros(CAMERA.size, dtype=torch.bool)
        mask[:, 24:] = True
        world.observe(VIEWS[0], mask=mask)
        shown = world.glimpse(VIEWS[0].target)
        assert not shown.seen[:, 28:].any()
        assert shown.seen[4:-4, 4:20].float().mean() > 0.9
