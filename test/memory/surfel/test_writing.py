"""Writing and undoing: all or nothing, and exactly."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from memories import CAMERA, differences, memory_of, same_projection, snapshot, views_at, write
from rooms import HALF, PANEL_X, box_view, orbit
from vmem_ros.errors import InvalidImageError, NothingToUndoError, NotSeededError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import PointMap, Target

VIEWS = views_at(orbit(12), panel=True)


def fresh(views) -> SurfelMemory:
    return memory_of(views)


class TestMerging:
    def test_the_same_view_again_adds_no_surfel(self):
        memory = fresh(VIEWS[:1])
        n = memory.n_surfels
        write(memory, [VIEWS[0]])
        assert memory.n_surfels == n
        assert len(memory) == 2

    def test_an_overlapping_view_adds_only_what_is_new(self):
        one, other = fresh(VIEWS[:1]).n_surfels, fresh(VIEWS[1:2]).n_surfels
        both = fresh(VIEWS[:2]).n_surfels
        assert max(one, other) < both < one + other

    def test_a_second_round_adds_nearly_nothing(self):
        memory = fresh(VIEWS)
        n = memory.n_surfels
        for view in VIEWS:
            write(memory, [view])
        assert memory.n_surfels < 1.02 * n

    def test_surfels_lie_on_the_walls(self):
        position = fresh(VIEWS).surfels.position
        on_wall = ((position.abs() - HALF).abs() < 1e-3).any(dim=-1)
        on_panel = (position[:, 0] - PANEL_X).abs() < 1e-3
        assert (on_wall | on_panel).all()
        assert ((position.abs() - HALF) < 1e-3).all()


class TestShown:
    """Points that memory has shown before are counted as seen, and not remembered a second time."""

    @staticmethod
    def seen_again(memory: SurfelMemory, view, *, source, shift_m=0.0):
        """Return a view and its geometry, all of which memory shows, a little farther than it was."""
        projection = memory.project(view.target)
        depth = torch.where(projection.seen, projection.depth + shift_m, torch.nan)
        again = dataclasses.replace(view, depth=None, source=source)
        point_map = PointMap.from_depth(
            depth, torch.ones_like(depth), view.camera, view.T_world_camera, shown=projection.ids
        )
        return again, point_map, projection

    @pytest.mark.parametrize("source", ["observed", "generated"])
    def test_they_make_no_surfels(self, source):
        memory = fresh(VIEWS[:1])
        before = memory.surfels.position.clone()
        # So far that nothing would merge.
        view, point_map, projection = self.seen_again(memory, VIEWS[1], source=source, shift_m=0.5)
        memory.write([view], [point_map])
        assert torch.equal(memory.surfels.position, before)
        # The view has seen them all the same: who looks there is given both.
        recall = memory.read([VIEWS[1].target], 2)
        assert projection.seen.float().mean() > 0.5
        assert sorted(recall.indices) == [0, 1]
        assert recall.weights.min() > 0.4
        memory.undo()
        assert differences(snapshot(memory, votes=False), snapshot(fresh(VIEWS[:1]), votes=False)) == []

    def test_a_camera_replaces_what_was_imagined(self):
        memory = SurfelMemory()
        write(memory, [dataclasses.replace(VIEWS[0], source="generated")])
        view, point_map, _ = self.seen_again(memory, VIEWS[0], source="observed")
        memory.write([view], [point_map])
        assert (memory.surfels.provenance == 1).any()
        assert (memory.project(VIEWS[0].target).confidence == 1).any()

    def test_of_another_memory(self):
        memory, other = fresh(VIEWS[:1]), fresh(VIEWS[:6])
        before = snapshot(memory)
        view, point_map, _ = self.seen_again(other, VIEWS[5], source="generated")
        with pytest.raises(InvalidImageError, match="elements that are not in this memory: read it again"):
            memory.write([view], [point_map])
        assert differences(snapshot(memory), before) == []


class TestUndo:
    @pytest.mark.parametrize("n", [1, 3, 5])
    def test_leaves_what_was_before(self, n):
        memory = fresh(VIEWS[:4])
        before = snapshot(memory)
        for view in VIEWS[4 : 4 + n]:
            write(memory, [view])
        assert "surfels/position" in differences(snapshot(memory), before)
        memory.undo(n)
        assert differences(snapshot(memory), before) == []

    def test_of_everything_leaves_an_empty_memory(self):
        memory = fresh(VIEWS[:3])
        memory.undo(3)
        assert differences(snapshot(memory), snapshot(SurfelMemory())) == []

    @pytest.mark.parametrize("n", [0, -1, 4])
    def test_more_than_there_is(self, n):
        memory = fresh(VIEWS[:3])
        before = snapshot(memory)
        with pytest.raises(NothingToUndoError, match=f"cannot undo {n} commits: 3 are stored"):
            memory.undo(n)
        assert differences(snapshot(memory), before) == []

    def test_writes_of_one_label_are_one_commit(self):
        memory = fresh(VIEWS[:1])
        before = snapshot(memory)
        for start, label in ((1, "a"), (3, "a"), (5, "b"), (6, "")):
            views = VIEWS[start : start + 2]
            memory.write(views, SensorDepth().estimate(views), label=label)
        assert memory.commits == (1, 4, 2, 2)
        memory.undo(3)
        assert differences(snapshot(memory), before) == []

    def test_a_label_that_was_undone_begins_anew(self):
        memory = fresh(VIEWS[:1])
        for view in VIEWS[1:3]:
            memory.write([view], SensorDepth().estimate([view]), label="a")
        memory.undo()
        for view in VIEWS[3:5]:
            memory.write([view], SensorDepth().estimate([view]), label="a")
        assert memory.commits == (1, 2)

    def test_clear(self):
        memory = fresh(VIEWS[:3])
        memory.clear()
        assert differences(snapshot(memory), snapshot(SurfelMemory())) == []
        assert memory.nbytes == SurfelMemory().nbytes
        assert not memory.project(VIEWS[0].target).seen.any()

    @pytest.mark.parametrize("seed", range(4))
    def test_any_history_equals_its_outcome(self, seed):
        """After writes, reads, undos and clears in any order, memory is bit by bit one of the views that are left."""
        choose = random.Random(seed)
        memory, left = SurfelMemory(), []  # the commits that are left, each a list of views
        for _ in range(15):
            action = choose.choice(["write", "write", "write", "undo", "read", "clear"])
            if action == "write":
                chunk = choose.sample(VIEWS, choose.randint(1, 3))
                write(memory, chunk)
                left.append(chunk)
            elif action == "undo" and left:
                n = choose.randint(1, len(left))
                memory.undo(n)
                del left[-n:]
            elif action == "read" and left:
                memory.read([choose.choice(VIEWS).target], 4)
            elif action == "clear" and choose.random() < 0.3:
                memory.clear()
                left.clear()
        again = SurfelMemory()
        for chunk in left:
            write(again, chunk)
        assert differences(snapshot(memory, votes=False), snapshot(again, votes=False)) == []
        target = Target(CAMERA, orbit(24)[5])
        assert same_projection(memory.project(target), again.project(target))
        # What cannot be read off the state, the voxel hash, shows in what merges next.
        for each in (memory, again):
            write(each, VIEWS[:1])
        assert differences(snapshot(memory, votes=False), snapshot(again, votes=False)) == []


class TestAllOrNothing:
    def test_different_lengths(self):
        with pytest.raises(InvalidImageError, match="one point map per view, got 2 views and 1 maps"):
            SurfelMemory().write(VIEWS[:2], SensorDepth().estimate(VIEWS[:1]))

    def test_a_point_map_of_another_size(self):
        memory = fresh(VIEWS[:2])
        before = snapshot(memory)
        maps = SensorDepth().estimate(VIEWS[2:4])
        maps[1] = dataclasses.replace(maps[1], points=maps[1].points[:-1])
        with pytest.raises(InvalidImageError, match="the point map is"):
            memory.write(VIEWS[2:4], maps)
        assert differences(snapshot(memory), before) == []

    @pytest.mark.parametrize("fails_at", range(1, 25))
    def test_out_of_memory_at_any_allocation(self, monkeypatch, fails_at):
        """Every array of the memory fails to grow once; what was written before must stay, and the next write work."""
        memory = fresh(VIEWS[:2])
        before = snapshot(memory)
        append, calls = GrowableTensor.append, []

        def failing(self, rows):
            calls.append(1)
            if len(calls) == fails_at:
                raise torch.OutOfMemoryError("no room")
            append(self, rows)

        with monkeypatch.context() as patched:
            patched.setattr(GrowableTensor, "append", failing)
            with pytest.raises(torch.OutOfMemoryError, match="no room"):
                write(memory, VIEWS[2:4])
        assert differences(snapshot(memory), before) == []
        expected = fresh(VIEWS[:2])
        for each in (memory, expected):
            write(each, VIEWS[2:4])
        assert differences(snapshot(memory), snapshot(expected)) == []


class TestFind:
    @pytest.mark.parametrize(("moved_m", "same"), [(0.0, True), (1e-9, True), (1e-5, False)])
    def test_only_this_pose_up_to_rounding(self, moved_m, same):
        memory = fresh(VIEWS[:3])
        moved = VIEWS[1].T_world_camera.clone()
        moved[0, 3] += moved_m
        found = memory.find(Target(CAMERA, moved))
        assert torch.equal(found.image, VIEWS[1].image) if same else found is None

    def test_only_this_camera(self):
        memory = fresh(VIEWS[:3])
        assert memory.find(Target(Camera.from_fov(64, 48, 81), VIEWS[1].T_world_camera)) is None

    def test_the_newest(self):
        newer = dataclasses.replace(VIEWS[0], image=255 - VIEWS[0].image)
        memory = fresh([VIEWS[0], VIEWS[1], newer])
        assert torch.equal(memory.find(VIEWS[0].target).image, newer.image)
        memory.undo(1)
        assert torch.equal(memory.find(VIEWS[0].target).image, VIEWS[0].image)

    def test_in_an_empty_memory(self):
        assert SurfelMemory().find(VIEWS[0].target) is None


class TestStoredViews:
    @pytest.mark.parametrize(
        "turned",
        [
            lambda image: torch.rot90(torch.rot90(image)).flip(0).flip(1),
            lambda image: image.permute(2, 0, 1).contiguous().permute(1, 2, 0),
            lambda image: np.asfortranarray(image.numpy()),
            lambda image: np.ascontiguousarray(image.numpy()[..., ::-1])[..., ::-1],
        ],
    )
    def test_in_whatever_order_pixels_lie(self, turned):
        memory = fresh([dataclasses.replace(VIEWS[0], image=turned(VIEWS[0].image))])
        assert same_projection(memory.project(VIEWS[0].target), fresh(VIEWS[:1]).project(VIEWS[0].target))

    def test_no_array(self):
        with pytest.raises(InvalidImageError, match="no array of numbers"):
            dataclasses.replace(VIEWS[0], image="photo.png")

    def test_do_not_change_with_the_callers_arrays(self):
        """A driver that fills the same buffer with every frame must not repaint the past."""
        view = box_view(CAMERA, orbit(8)[0])
        image, depth, pose = view.image.clone().numpy(), view.depth.clone().numpy(), view.T_world_camera.clone()
        memory = fresh([dataclasses.replace(view, image=image, depth=depth, T_world_camera=pose)])
        before = memory.project(view.target)
        image[:], depth[:], pose[0, 3] = 0, 0.5, 9
        assert torch.equal(memory.views[0].image, view.image)
        assert torch.equal(memory.views[0].T_world_camera, view.T_world_camera)
        assert same_projection(memory.project(view.target), before)

    def test_nbytes_grows_with_views_and_shrinks_with_undo(self):
        memory = fresh(VIEWS[:2])
        before = memory.nbytes
        write(memory, VIEWS[2:3])
        assert memory.nbytes - before >= VIEWS[2].image.nbytes + VIEWS[2].depth.nbytes
        memory.undo(1)
        assert memory.nbytes <= before + 100_000


class TestReading:
    def test_not_seeded(self):
        with pytest.raises(NotSeededError, match="seed"):
            SurfelMemory().read([VIEWS[0].target], 4)

    def test_no_targets(self):
        with pytest.raises(ValueError, match="at least one target"):
            fresh(VIEWS[:1]).read([], 4)

    def test_recall(self):
        memory = fresh(VIEWS)
        targets = [Target(CAMERA, T) for T in orbit(24)[3:6]]
        recall = memory.read(targets, 4)
        assert len(recall.views) == len(recall.indices) == len(recall.weights) == 4
        assert recall.weights.dtype == torch.float64
        assert recall.weights.sum() == pytest.approx(1)
        assert (recall.weights >= 0).all()
        assert not recall.fallback
        for view, index in zip(recall.views, recall.indices, strict=True):
            assert view is memory.views[index]
        for projection, target in zip(recall.projections, targets, strict=True):
            assert same_projection(projection, memory.project(target))

    @pytest.mark.parametrize("selection", ["votes", "coverage", "nearest"])
    def test_views_of_the_same_wall_are_recalled(self, selection):
        """Half of the views look along +x, half along -x, all from the same places."""
        ahead = [look_at((0, y, 0), (2, y, 0.1)) for y in (-0.4, 0, 0.4)]
        back = [look_at((0, y, 0), (-2, y, 0.1)) for y in (-0.4, 0, 0.4)]
        memory = memory_of(views_at(torch.stack([*ahead, *back])), selection=selection)
        recall = memory.read([Target(CAMERA, look_at((0, 0.2, 0), (2, 0.1, 0.1)))], 3)
        assert sorted(recall.indices) == [0, 1, 2]

    def test_popularity_counts_reads_only(self):
        memory = fresh(VIEWS[:4])
        memory.project(VIEWS[0].target)
        assert memory.state()[0]["views/popularity"].sum() == 0
        recall = memory.read([VIEWS[0].target], 2)
        votes = memory.state()[0]["views/popularity"]
        assert int(votes.argmax()) == recall.indices[0]

    def test_nothing_visible_falls_back_to_the_nearest_poses(self):
        poses = torch.stack([look_at((x, 0, 0), (x + 2, 0, 0)) for x in (-0.8, 0.0, 0.8)])
        memory = fresh(views_at(poses))
        recall = memory.read([Target(CAMERA, look_at((1.0, 0, 0), (-2, 0, 0)))], 2)
        assert recall.fallback
        assert recall.indices == (2, 1)
        assert recall.weights.tolist() == [0.5, 0.5]
        assert not recall.projections[0].seen.any()

    def test_too_few_with_votes_are_filled_up(self):
        poses = torch.stack(
            [look_at((0, 0, 0), (2, 0, 0.1)), look_at((0, 0, 0), (-2, 0, 0.1)), look_at((1, 0, 0), (-2, 1, 0))]
        )
        memory = fresh(views_at(poses))
        recall = memory.read([Target(CAMERA, poses[0])], 3)
        assert recall.indices[0] == 0
        assert recall.weights.tolist() == [1, 0, 0]
        assert not recall.fallback
        assert len(set(recall.indices)) == 3
