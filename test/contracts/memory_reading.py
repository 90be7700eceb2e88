"""Reading: types, what an empty memory says, which views matter, and that nothing changes by asking."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from comparisons import differences, same_projection, snapshot
from memory_subject import CAMERA, TARGETS, VIEWS, MemorySubject, write
from rooms import psnr
from vmem_ros.errors import NotSeededError
from vmem_ros.geometry import Camera
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection, Target


def check_types(projection: Projection, camera: Camera, device: torch.device) -> None:
    """Every map of a projection has the type, shape and device that the protocol says."""
    for name, dtype, row in (
        ("image", torch.uint8, (3,)), ("depth", torch.float32, ()), ("seen", torch.bool, ()),
        ("ids", torch.int64, ()), ("confidence", torch.float32, ()),
    ):  # fmt: skip
        value = getattr(projection, name)
        assert (value.dtype, tuple(value.shape)) == (dtype, (*camera.size, *row)), name
        assert value.device == device, name
    assert (projection.features is None) == (projection.features_seen is None)
    if projection.features is not None:
        assert projection.features.is_floating_point()
        assert projection.features_seen.dtype == torch.bool
        assert projection.features.shape[1:] == projection.features_seen.shape


class EmptyContract(MemorySubject):
    """An empty memory, and what every memory says of itself."""

    def test_it_says_what_it_is(self) -> None:
        memory = self.make()
        assert isinstance(memory.kind, str)
        assert memory.kind
        assert isinstance(memory.device, torch.device)
        assert json.loads(json.dumps(dict(memory.options))) == dict(memory.options)

    def test_it_holds_nothing(self) -> None:
        memory = self.make()
        assert (len(memory), tuple(memory.views), tuple(memory.commits)) == (0, (), ())
        assert len(memory.elements()) == 0
        assert all(isinstance(value, int | float) and value == 0 for value in memory.figures().values())
        assert memory.find(TARGETS[0]) is None

    def test_it_shows_nothing(self) -> None:
        memory = self.make()
        shown = memory.project(TARGETS[0])
        check_types(shown, CAMERA, memory.device)
        assert not shown.seen.any()
        assert not shown.image.any()
        assert shown.depth.isnan().all()
        assert (shown.ids == -1).all()
        assert not shown.confidence.any()

    def test_it_cannot_be_read(self) -> None:
        with pytest.raises(NotSeededError, match="seed"):
            self.make().read(TARGETS, 4)

    def test_a_copy_is_empty_and_alike(self) -> None:
        memory = self.memory_of(VIEWS[:2])
        copy = memory.empty_copy()
        assert (len(copy), copy.kind, copy.device) == (0, memory.kind, memory.device)
        assert dict(copy.options) == dict(memory.options)
        write(copy, VIEWS[2:3])
        assert len(memory) == 2

    def test_cleared_it_is_as_new(self) -> None:
        memory = self.memory_of(VIEWS[:3])
        memory.clear()
        assert differences(snapshot(memory), snapshot(self.make())) == []
        write(memory, VIEWS[4:5])
        assert differences(snapshot(memory), snapshot(self.memory_of(VIEWS[4:5]))) == []


class ReadingContract(MemorySubject):
    """Projections and recalls of what was written."""

    def test_types_of_a_projection(self) -> None:
        memory = self.memory_of(VIEWS[:2])
        for target in TARGETS:
            check_types(memory.project(target), CAMERA, memory.device)

    def test_a_stored_pose_shows_the_stored_view(self) -> None:
        memory = self.memory_of(VIEWS)
        for view in VIEWS[::3]:
            shown = memory.project(view.target)
            assert shown.seen.float().mean() >= self.least_shown
            assert psnr(shown.image, view.image, shown.seen) >= self.least_psnr_db
            error = (shown.depth / view.depth - 1).abs()[shown.seen]
            assert (error < 0.05).float().mean() > 0.9

    def test_an_observed_view_shows_itself_whole(self) -> None:
        blind = VIEWS[2].depth.clone()
        blind[:, ::2] = torch.nan
        view = dataclasses.replace(VIEWS[2], depth=blind)
        shown = self.memory_of([VIEWS[0], view]).project(view.target)
        assert shown.seen.all()
        assert torch.equal(shown.image, view.image.to(shown.image.device))
        assert (shown.confidence == 1).all()

    def test_a_generated_view_shows_itself_where_nobody_knows_better(self) -> None:
        generator = torch.Generator().manual_seed(0)
        noise = [torch.randint(0, 256, v.image.shape, dtype=torch.uint8, generator=generator) for v in VIEWS[:4]]
        imagined = [v.having(image=n, source="generated") for v, n in zip(VIEWS[:4], noise, strict=True)]
        shown = (memory := self.memory_of(imagined)).project(VIEWS[1].target)
        differ = (shown.image.cpu() != noise[1]).any(dim=-1) & shown.seen.cpu()
        # Others imagined other colours there; the depth of a memory may be off at outlines.
        assert differ.float().mean() < 0.02
        write(memory, VIEWS[:1])
        shown = memory.project(VIEWS[1].target)
        known = (shown.confidence > IMAGINED_CONFIDENCE + 0.49).cpu()
        assert known.float().mean() > 0.2
        # What a camera has seen meanwhile takes the place of what was imagined.
        assert (shown.image.cpu() == noise[1])[known].float().mean() < 0.1

    def test_what_is_not_seen_is_empty(self) -> None:
        shown = self.memory_of(VIEWS[:1]).project(VIEWS[1].target)
        unseen = ~shown.seen
        assert 0.05 < unseen.float().mean() < 0.95
        assert not shown.image[unseen].any()
        assert shown.depth[unseen].isnan().all()
        assert (shown.ids[unseen] == -1).all()
        assert not shown.confidence[unseen].any()
        assert (shown.depth[shown.seen] > 0).all()
        assert torch.isfinite(shown.depth[shown.seen]).all()

    def test_ids_name_elements(self) -> None:
        memory = self.memory_of(VIEWS[:3])
        cloud = memory.elements()
        assert cloud.position.dtype == torch.float32
        assert cloud.color.dtype == torch.uint8
        assert torch.isfinite(cloud.position).all()
        shown = memory.project(TARGETS[0])
        ids = shown.ids[shown.seen]
        number = torch.arange(len(cloud)) if cloud.number is None else cloud.number.cpu()
        assert (number.diff() > 0).all()
        assert torch.isin(ids.cpu(), number).all()
        place = torch.searchsorted(number, ids.cpu()).to(ids.device)
        # The element lies where the pixel shows it.
        distance = (cloud.position[place].double() - TARGETS[0].T_world_camera[:3, 3]).norm(dim=-1)
        assert (distance > 0.8 * shown.depth[shown.seen]).float().mean() > 0.95

    def test_a_recall_is_whole(self) -> None:
        memory = self.memory_of(VIEWS)
        recall = memory.read(TARGETS, 3)
        assert len(recall.projections) == len(TARGETS)
        assert all(same_projection(p, memory.project(t)) for p, t in zip(recall.projections, TARGETS, strict=True))
        assert len(recall.views) == len(recall.indices) == len(recall.weights) == 3
        assert len(set(recall.indices)) == 3
        assert all(view is memory.views[i] for view, i in zip(recall.views, recall.indices, strict=True))
        assert recall.weights.dtype == torch.float64
        assert (recall.weights >= 0).all()
        assert float(recall.weights.sum()) == pytest.approx(1)
        assert all(recall.weights[:-1] >= recall.weights[1:]), "best first"
        assert [view.stamp_ns for view in recall.newest] == [5, 6, 7]

    @pytest.mark.parametrize("k", [1, 8, 30])
    def test_as_many_views_as_are_asked_for_and_there(self, k: int) -> None:
        recall = self.memory_of(VIEWS[:5]).read(TARGETS, k)
        assert len(recall.views) == len(recall.newest) == min(k, 5)
        assert float(recall.weights.sum()) == pytest.approx(1)

    def test_the_view_that_shows_it_all_comes_first(self) -> None:
        memory = self.memory_of(VIEWS)
        for number in (0, 3, 6):
            recall = memory.read([VIEWS[number].target], 1)
            assert recall.indices == (number,)
            assert not recall.fallback

    def test_several_targets_are_all_served(self) -> None:
        """Two targets that have nothing in common: each has its view among the two."""
        memory = self.memory_of(VIEWS)
        recall = memory.read([VIEWS[1].target, VIEWS[5].target], 2)
        assert len(recall.projections) == 2
        assert not recall.fallback
        middle = memory.read([VIEWS[1].target, VIEWS[2].target], 2)
        assert sorted(middle.indices) == [1, 2]

    def test_where_nothing_is_known_the_nearest_poses_stand_in(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        away = Target(CAMERA, VIEWS[0].T_world_camera @ torch.diag(torch.tensor([-1.0, 1, -1, 1])).double())
        recall = memory.read([away], 2)
        assert not recall.projections[0].seen.any()
        assert recall.fallback
        assert recall.indices == (0,)
        assert float(recall.weights.sum()) == pytest.approx(1)

    def test_no_targets(self) -> None:
        with pytest.raises(ValueError, match="target"):
            self.memory_of(VIEWS[:1]).read([], 2)

    def test_finding_a_view(self) -> None:
        memory = self.memory_of([*VIEWS[:3], VIEWS[1]])
        assert memory.find(VIEWS[1].target) is memory.views[3], "the newest"
        assert memory.find(TARGETS[0]) is None
        wider = Target(Camera.from_fov(48, 36, 90), VIEWS[1].T_world_camera)
        assert memory.find(wider) is None

    def test_asking_changes_nothing(self) -> None:
        memory = self.memory_of(VIEWS[:4])
        before = snapshot(memory)
        memory.project(TARGETS[0])
        memory.find(TARGETS[0])
        memory.elements()
        memory.figures()
        memory.read(TARGETS, 3, record=False)
        assert differences(snapshot(memory), before) == []

    def test_what_was_handed_out_is_nobody_elses(self) -> None:
        memory = self.memory_of(VIEWS[:2])
        before, first = snapshot(memory), memory.project(TARGETS[0])
        kept = memory.project(TARGETS[0])
        write(memory, VIEWS[2:6])
        assert same_projection(first, kept)
        memory.undo(1)
        first.image.zero_()
        for column in vars(memory.elements()).values():
            if column is not None:
                column.zero_()
        assert differences(snapshot(memory), before) == []

    def test_equal_histories_are_equal(self) -> None:
        one, other = (self.memory_of(VIEWS[:5]) for _ in range(2))
        assert differences(snapshot(one), snapshot(other)) == []
        a, b = (memory.read(TARGETS, 3) for memory in (one, other))
        assert a.indices == b.indices
        assert torch.equal(a.weights, b.weights)
        assert all(same_projection(x, y) for x, y in zip(a.projections, b.projections, strict=True))
