"""Writing surfels: what merges, what is stored, what is recalled. What every memory does is in the contract."""

import dataclasses

import numpy as np
import pytest
import torch

from memories import CAMERA, memory_of, same_projection, views_at, write
from rooms import HALF, PANEL_X, orbit
from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import look_at
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.types import Target

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


class TestFind:
    @pytest.mark.parametrize(("moved_m", "same"), [(0.0, True), (1e-9, True), (1e-5, False)])
    def test_only_this_pose_up_to_rounding(self, moved_m, same):
        memory = fresh(VIEWS[:3])
        moved = VIEWS[1].T_world_camera.clone()
        moved[0, 3] += moved_m
        found = memory.find(Target(CAMERA, moved))
        assert torch.equal(found.image, VIEWS[1].image) if same else found is None

    def test_the_newest(self):
        newer = dataclasses.replace(VIEWS[0], image=255 - VIEWS[0].image)
        memory = fresh([VIEWS[0], VIEWS[1], newer])
        assert torch.equal(memory.find(VIEWS[0].target).image, newer.image)
        memory.undo(1)
        assert torch.equal(memory.find(VIEWS[0].target).image, VIEWS[0].image)


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

    def test_nbytes_grows_with_views_and_shrinks_with_undo(self):
        memory = fresh(VIEWS[:2])
        before = memory.nbytes
        write(memory, VIEWS[2:3])
        assert memory.nbytes - before >= VIEWS[2].image.nbytes + VIEWS[2].depth.nbytes
        memory.undo(1)
        assert memory.nbytes <= before + 100_000


class TestReading:
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
