"""Writing: all or nothing, commits and their labels, undo bit by bit, and what is observed and what imagined."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import pytest
import torch

from comparisons import differences, same_projection, snapshot
from faults import failing_at, moments, operations_of
from memory_subject import CAMERA, TARGETS, VIEWS, MemorySubject, maps_of, middle, wall, write
from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError, NothingToUndoError
from vmem_ros.geometry import Camera
from vmem_ros.protocols import Memory
from vmem_ros.types import CLOSED_CONFIDENCE, IMAGINED_CONFIDENCE, PointMap, View

# Moments at which memory runs out, spread over a call.
_MOMENTS = 30


def check_same(memory: Memory, other: Memory) -> None:
    """Two memories hold the same, and show and recall the same."""
    assert differences(snapshot(memory), snapshot(other)) == []
    for target in TARGETS:
        assert same_projection(memory.project(target), other.project(target))
    if len(memory):
        a, b = (each.read(TARGETS, 4, record=False) for each in (memory, other))
        assert a.indices == b.indices
        assert torch.equal(a.weights, b.weights)


class WritingContract(MemorySubject):
    """What a write stores, and what it refuses."""

    def test_views_are_kept_as_they_came(self) -> None:
        latent, embedding = torch.randn(4, 5, 6), torch.randn(7)
        view = dataclasses.replace(VIEWS[0], latent=latent, embedding=embedding, stamp_ns=12)
        memory = self.memory_of([view, VIEWS[1]])
        kept = memory.views[0]
        assert torch.equal(kept.image, view.image)
        assert torch.equal(kept.depth, view.depth)
        assert torch.equal(kept.latent, latent)
        assert torch.equal(kept.embedding, embedding)
        assert (kept.camera, kept.stamp_ns, kept.source) == (view.camera, 12, "observed")
        assert torch.equal(kept.T_world_camera, view.T_world_camera)
        assert (kept.confidence == 1).all()
        assert [v.stamp_ns for v in memory.views] == [12, 1]

    def test_depth_of_the_map_is_that_of_a_view_without(self) -> None:
        memory = self.make()
        (view,) = VIEWS[:1]
        memory.write([dataclasses.replace(view, depth=None, source="generated")], maps_of([view]))
        assert torch.equal(memory.views[0].depth, view.depth)
        assert not memory.views[0].confidence.any()

    def test_what_a_driver_does_with_its_buffer_does_not_matter(self) -> None:
        view = dataclasses.replace(VIEWS[0], image=VIEWS[0].image.clone(), depth=VIEWS[0].depth.clone())
        maps = maps_of([view])
        memory = self.make()
        memory.write([view], maps)
        before, shown = snapshot(memory), memory.project(TARGETS[0])
        for tensor in (view.image, view.depth, maps[0].points, maps[0].confidence):
            tensor.zero_()
        assert differences(snapshot(memory), before) == []
        assert same_projection(memory.project(TARGETS[0]), shown)

    def test_it_grows(self) -> None:
        memory = self.make()
        bytes_, elements = [memory.nbytes], [0]
        for view in VIEWS[:3]:
            write(memory, [view])
            bytes_.append(memory.nbytes)
            elements.append(len(memory.elements()))
        assert bytes_ == sorted(bytes_)
        assert bytes_[-1] > bytes_[1]
        assert elements == sorted(set(elements))

    def test_elements_say_what_a_camera_saw(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        confidence = memory.elements().confidence
        if confidence is None:
            pytest.skip("this memory does not say")
        assert bool((confidence == 1).all())
        memory = self.memory_of([dataclasses.replace(view, source="generated") for view in VIEWS[:1]])
        write(memory, VIEWS[3:4])
        elements = memory.elements().at_most(500)
        assert elements.confidence is not None
        assert len(elements) == len(elements.confidence) == 500
        assert set(elements.confidence.unique().tolist()) == {IMAGINED_CONFIDENCE, 1.0}

    def test_the_same_view_again_adds_hardly_anything(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        once = len(memory.elements())
        write(memory, VIEWS[:1])
        assert len(memory.elements()) <= 1.02 * once

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda views, maps: (views, maps[:1]), "one point map per view"),
            (lambda views, maps: (views, [maps[1], maps[0]]), "camera or pose"),
            (lambda views, maps: (views, [maps[0], _of_size(views[1], 20, 30)]), "point map is"),
            (lambda views, maps: (views, [maps[0], dataclasses.replace(maps[1], confidence=torch.ones(3, 3))]), "is"),
            (lambda views, maps: (views, [maps[0], _showing(maps[1], 10**7)]), "not in this memory"),
        ],
        ids=["number", "order", "size", "confidence", "shown"],
    )
    def test_maps_that_do_not_fit(self, change: Callable[..., tuple[list[View], list[PointMap]]], error: str) -> None:
        memory = self.memory_of(VIEWS[:2])
        before = snapshot(memory)
        views = VIEWS[2:4]
        with pytest.raises(InvalidImageError, match=error):
            memory.write(*change(views, maps_of(views)))
        assert differences(snapshot(memory), before) == []

    @pytest.mark.parametrize("source", ["observed", "generated"])
    def test_a_write_that_fails_at_any_moment_leaves_no_trace(self, source: str) -> None:
        views = [dataclasses.replace(v, source=source) for v in VIEWS[1:3]]
        maps = maps_of(views)
        written = self.memory_of(VIEWS[:2])
        operations = operations_of(lambda: written.write(views, maps))
        memory, failed = self.memory_of(VIEWS[:2]), 0
        before = snapshot(memory)
        for number in moments(operations, _MOMENTS):
            # Forgetting comes after writing, and may put off what it has no memory for.
            if failing_at(lambda: memory.write(views, maps, evict=False), number):
                failed += 1
                assert differences(snapshot(memory), before) == [], f"operation {number} of {operations}"
            else:
                memory.undo(1)
        assert failed > _MOMENTS // 2
        memory.write(views, maps)
        check_same(memory, written)

    def test_a_first_write_that_fails_leaves_an_empty_memory(self) -> None:
        maps, memory, new = maps_of(VIEWS[:1]), self.make(), snapshot(self.make())
        operations = operations_of(lambda: self.make().write(VIEWS[:1], maps))
        for number in moments(operations, _MOMENTS):
            if failing_at(lambda: memory.write(VIEWS[:1], maps), number):
                assert differences(snapshot(memory), new) == [], f"operation {number} of {operations}"
            memory.clear()


class CommitContract(MemorySubject):
    """Commits, labels, and undo."""

    def test_writes_of_one_label_are_one_commit(self) -> None:
        memory = self.make()
        for start, label in ((0, "a"), (1, "a"), (2, "b"), (3, ""), (4, "")):
            write(memory, VIEWS[start : start + 1], label=label)
        write(memory, VIEWS[5:7])
        assert tuple(memory.commits) == (2, 1, 1, 1, 2)
        assert sum(memory.commits) == len(memory)

    def test_no_views_are_no_commit(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        write(memory, VIEWS[1:2], label="a")
        write(memory, [], label="b")
        write(memory, [])
        write(memory, VIEWS[2:3], label="b")
        assert tuple(memory.commits) == (1, 1, 1)
        memory.undo(1)
        write(memory, VIEWS[3:4], label="a")
        assert tuple(memory.commits) == (1, 2), "the newest commit is a again, and is extended"

    def test_a_label_that_was_undone_begins_anew(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        write(memory, VIEWS[1:2], label="a")
        memory.undo(1)
        write(memory, VIEWS[2:3], label="a")
        write(memory, VIEWS[3:4], label="a")
        assert tuple(memory.commits) == (1, 2)

    @pytest.mark.parametrize("n", [1, 2, 4])
    def test_undo_leaves_what_was_before(self, n: int) -> None:
        """Bit by bit, although the later views look at what the earlier ones saw."""
        memory, before = self.memory_of(VIEWS[:3]), self.memory_of(VIEWS[:3])
        for number, view in enumerate([*VIEWS[1:4], VIEWS[0]]):
            write(memory, [view, VIEWS[number]], label="")
        later = snapshot(memory)
        assert differences(later, snapshot(before)) != []
        if n < 4:
            memory.undo(4 - n)
        memory.undo(n)
        check_same(memory, before)

    def test_what_is_written_after_an_undo_is_as_if_nothing_had_been(self) -> None:
        memory, other = (self.memory_of(VIEWS[:2]) for _ in range(2))
        write(memory, [VIEWS[1], *VIEWS[3:6]])
        memory.undo(1)
        for each in (memory, other):
            write(each, VIEWS[2:4])
            write(each, VIEWS[1:2])
        check_same(memory, other)
        for each in (memory, other):
            each.undo(1)
        check_same(memory, other)

    def test_undo_of_everything(self) -> None:
        memory = self.memory_of(VIEWS[:4])
        memory.undo(4)
        assert differences(snapshot(memory), snapshot(self.make())) == []
        write(memory, VIEWS[4:5])
        check_same(memory, self.memory_of(VIEWS[4:5]))

    @pytest.mark.parametrize("n", [0, -1, 4])
    def test_more_than_there_is(self, n: int) -> None:
        memory = self.memory_of(VIEWS[:3])
        before = snapshot(memory)
        with pytest.raises(NothingToUndoError, match=f"{n} commits"):
            memory.undo(n)
        assert differences(snapshot(memory), before) == []

    def test_nothing_to_undo(self) -> None:
        with pytest.raises(NothingToUndoError, match="0 are stored"):
            self.make().undo()

    @pytest.mark.parametrize("seed", range(3))
    def test_any_history_equals_its_outcome(self, seed: int) -> None:
        """After writes, reads, undos and clears in any order, memory is bit by bit one of the views that are left."""
        choose = random.Random(seed)
        memory, left = self.make(), []  # the commits that are left, each a list of views
        for _ in range(12):
            action = choose.choice(["write", "write", "write", "undo", "read", "clear"])
            if action == "write":
                left.append([
                    dataclasses.replace(view, source=choose.choice(["observed", "generated"]))
                    for view in choose.sample(VIEWS, choose.randint(1, 3))
                ])  # fmt: skip
                write(memory, left[-1])
            elif action == "undo" and left:
                n = choose.randint(1, len(left))
                memory.undo(n)
                del left[-n:]
            elif action == "read" and left:
                memory.read([choose.choice(VIEWS).target], 4, record=False)
            elif action == "clear" and choose.random() < 0.3:
                memory.clear()
                left.clear()
        again = self.make()
        for views in left:
            write(again, views)
        check_same(memory, again)
        # What cannot be read off the state, tables of places say, shows in what meets next.
        for each in (memory, again):
            write(each, VIEWS[:1])
        check_same(memory, again)

    def test_undo_of_views_of_every_kind(self) -> None:
        """Observed over imagined, imagined over observed, views without depth, other sizes: down again one by one."""
        small = Camera.from_fov(21, 33, 70)
        steps = [
            VIEWS[0],
            dataclasses.replace(VIEWS[1], source="generated"),
            dataclasses.replace(VIEWS[1], source="observed"),
            dataclasses.replace(VIEWS[0], source="generated"),
            dataclasses.replace(VIEWS[2], depth=torch.full(CAMERA.size, torch.nan)),
            VIEWS[0],
            dataclasses.replace(VIEWS[2], depth=torch.where(VIEWS[2].depth > 3, torch.inf, VIEWS[2].depth)),
        ]
        memory, histories = self.make(), []
        for step in steps:
            histories.append(snapshot(memory))
            write(memory, [step])
        histories.append(snapshot(memory))
        write(memory, [box_view(small, orbit(8)[3], panel=True)])
        while histories:
            memory.undo(1)
            assert differences(snapshot(memory), histories.pop()) == [], f"after {len(memory)} views"


class ProvenanceContract(MemorySubject):
    """What a camera saw, and what was only imagined."""

    @pytest.mark.parametrize(("source", "expected"), [("observed", 1.0), ("generated", IMAGINED_CONFIDENCE)])
    def test_confidence(self, source: str, expected: float) -> None:
        memory = self.memory_of([dataclasses.replace(v, source=source) for v in VIEWS])
        shown = memory.project(TARGETS[0])
        closed = shown.confidence == CLOSED_CONFIDENCE
        assert closed.float().mean() < 0.05
        assert set(shown.confidence[shown.seen & ~closed].unique().tolist()) == {expected}

    def test_an_imagined_wall_does_not_hide_the_seen_one_behind_it(self) -> None:
        for order in (("observed", "generated"), ("generated", "observed")):
            memory = self.make()
            for source in order:
                memory.write(*(wall(3.0, source, 200) if source == "observed" else wall(1.5, source, 50)))
            shown = memory.project(memory.views[0].target)
            assert (middle(shown.depth) - 3).abs().max() < 0.1
            assert (middle(shown.image) == 200).all()
            assert (middle(shown.confidence) == 1).all()

    def test_an_imagined_wall_shows_where_nothing_was_seen(self) -> None:
        memory = self.make()
        memory.write(*wall(1.5, "generated", 50))
        shown = memory.project(memory.views[0].target)
        assert (middle(shown.image) == 50).all()
        assert (middle(shown.confidence) == IMAGINED_CONFIDENCE).all()

    def test_a_camera_replaces_what_was_imagined_at_the_same_place(self) -> None:
        memory = self.make()
        memory.write(*wall(2.0, "generated", 50))
        memory.write(*wall(2.0, "observed", 200))
        shown = memory.project(memory.views[0].target)
        assert (middle(shown.image) == 200).all(), "not a mixture either"
        assert (middle(shown.confidence) == 1).all()

    def test_a_copy_of_what_was_seen_adds_nothing_to_it(self) -> None:
        memory = self.make()
        memory.write(*wall(2.0, "observed", 200))
        before, elements = memory.project(memory.views[0].target), len(memory.elements())
        memory.write(*wall(2.0, "generated", 190))
        assert len(memory.elements()) == elements
        assert torch.equal(middle(memory.project(memory.views[0].target).image), middle(before.image))

    @pytest.mark.parametrize("source", ["observed", "generated"])
    def test_what_memory_has_shown_is_not_remembered_again(self, source: str) -> None:
        """Points that a map says are elements already count as seen, though they lie a little farther now."""
        memory = self.memory_of(VIEWS[:1])
        before = snapshot(memory)
        elements = memory.elements().position.clone()
        view, point_map = _shown_again(memory, VIEWS[1], source, farther_m=0.5)
        memory.write([view], [point_map])
        assert torch.equal(memory.elements().position, elements)
        recall = memory.read([VIEWS[1].target], 2, record=False)
        assert sorted(recall.indices) == [0, 1]
        assert recall.weights.min() > 0.2, "the view has seen them"
        memory.undo(1)
        assert differences(snapshot(memory), before) == []

    def test_a_camera_replaces_what_memory_has_shown_of_imagination(self) -> None:
        memory = self.memory_of([dataclasses.replace(VIEWS[0], source="generated")])
        view, point_map = _shown_again(memory, VIEWS[0], "observed")
        memory.write([view], [point_map])
        assert (memory.project(VIEWS[0].target).confidence == 1).float().mean() > 0.8

    def test_a_view_without_depth_is_kept_and_shows_nothing(self) -> None:
        memory = self.memory_of(VIEWS[:1])
        elements = len(memory.elements())
        write(memory, [dataclasses.replace(VIEWS[3], depth=torch.full(CAMERA.size, torch.nan))])
        assert len(memory) == 2
        assert len(memory.elements()) == elements
        recall = memory.read([VIEWS[0].target], 2)
        assert recall.indices == (0, 1)

    def test_a_look_at_nothing_makes_no_surface(self) -> None:
        depth = VIEWS[0].depth.clone()
        depth[:18] = torch.inf
        memory = self.memory_of([dataclasses.replace(VIEWS[0], depth=depth)])
        shown = memory.project(VIEWS[0].target)
        # A memory may show the image of the sky where it was taken: there is no surface in it.
        assert not torch.isfinite(shown.depth[:16]).any()
        assert shown.seen[20:-1].float().mean() > 0.9
        assert torch.isposinf(memory.views[0].depth[:18]).all()

    def test_a_look_at_nothing_refutes_what_was_imagined_there(self) -> None:
        memory = self.make()
        memory.write(*wall(2.0, "generated", 50))
        (view,), _ = wall(1.0, "observed", 90)
        sky = dataclasses.replace(view, depth=torch.full(CAMERA.size, torch.inf))
        memory.write([sky], maps_of([sky]))
        assert not torch.isfinite(middle(memory.project(sky.target).depth)).any()
        memory.undo(1)
        assert torch.isfinite(middle(memory.project(sky.target).depth)).all()

    def test_unsure_points_make_no_surface(self) -> None:
        memory = self.make()
        (view,), (point_map,) = wall(2.0, "observed", 90)
        memory.write([view], [dataclasses.replace(point_map, confidence=torch.zeros(CAMERA.size))])
        assert len(memory.elements()) == 0
        assert len(memory) == 1


def _of_size(view: View, height: int, width: int) -> PointMap:
    return PointMap(torch.ones(height, width, 3), torch.ones(height, width), view.camera, view.T_world_camera)


def _showing(point_map: PointMap, element: int) -> PointMap:
    return dataclasses.replace(point_map, shown=torch.full(point_map.camera.size, element))


def _shown_again(memory: Memory, view: View, source: str, *, farther_m: float = 0.0) -> tuple[View, PointMap]:
    """Return a view and its geometry, all of which memory shows, so much farther than it was."""
    shown = memory.project(view.target)
    depth = torch.where(shown.seen, shown.depth + farther_m, torch.nan)
    again = dataclasses.replace(view, depth=None, source=source)
    point_map = PointMap.from_depth(depth, torch.ones_like(depth), view.camera, view.T_world_camera, shown=shown.ids)
    return again, point_map
