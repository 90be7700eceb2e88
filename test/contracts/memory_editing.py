"""Editing: what is removed is shown from nowhere, what is added from everywhere, and undo brings back what was."""

from __future__ import annotations

import dataclasses
import json
import random
import re

import pytest
import torch

from comparisons import differences, same_projection, snapshot
from faults import failing_at, moments, operations_of
from memory_saving import check_refused
from memory_subject import CAMERA, TARGETS, VIEWS, MemorySubject, write
from memory_writing import check_same
from rooms import PANEL_HALF, PANEL_X, box_view
from vmem_ros.edits import Box, Edit, Region, Sphere, UnderMask
from vmem_ros.errors import InvalidEditError, NotSeededError
from vmem_ros.geometry import look_at, unproject
from vmem_ros.protocols import Editable
from vmem_ros.types import IMAGINED_CONFIDENCE, Elements, Projection, Target, View

#: Around the panel of the room.
BOX = Box.between([PANEL_X - 0.15, -0.6, -0.6], [PANEL_X + 0.15, 0.6, 0.6])
#: A view that sees all of the panel, and poses from which it is seen, stored ones among them.
FACING = Target(CAMERA, look_at((-1.0, 0.1, 0.0), (3.0, 0.0, 0.0)))
POSES = [*(view.target for view in VIEWS), *TARGETS, FACING]
_MOMENTS = 25
#: No wall of the room has it.
_PINK = torch.tensor([255, 0, 255], dtype=torch.uint8)


def panel(target: Target) -> torch.Tensor:
    """Return [H, W] bool: pixels in which the panel is seen."""
    with_it, without = (box_view(target.camera, target.T_world_camera, panel=each) for each in (True, False))
    return with_it.depth < 0.99 * without.depth


def regions_of(kind: str, memory: Editable) -> tuple[Region, ...]:
    """Return the region of the panel, said in one of the ways."""
    if kind == "box":
        return (BOX,)
    if kind == "sphere":
        return (Sphere([PANEL_X, 0.0, 0.0], 1.5 * PANEL_HALF),)
    mask = UnderMask(FACING, panel(FACING), thickness_m=0.1)
    return (mask.at(memory.project(FACING).depth),)


def panel_shown(shown: Projection, target: Target) -> float:
    """Return the share of the panel's pixels whose depth is that of the panel."""
    truth = box_view(target.camera, target.T_world_camera, panel=True).depth
    where = panel(target)
    return float((shown.seen & ((shown.depth / truth - 1).abs() < 0.05))[where].float().mean()) if where.any() else 0.0


def sheet(distance_m: float = 1.0, n: int = 24) -> Elements:
    """Return a pink square of 60 cm, upright, in the middle of the room so far along x."""
    side = torch.linspace(-0.3, 0.3, n)
    y, z = torch.meshgrid(side, side, indexing="ij")
    position = torch.stack([torch.full_like(y, distance_m), y, z], dim=-1).view(-1, 3)
    return Elements(position, _PINK.expand(len(position), 3).clone())


def pink(image: torch.Tensor) -> torch.Tensor:
    """Return [H, W] bool: pixels that have the colour of the sheet."""
    return (image.int() - _PINK.int()).abs().amax(dim=-1) < 10


def sheet_shown(shown: Projection, target: Target, distance_m: float = 1.0) -> float:
    """Return the share of the sheet's pixels, but for its rim, that have its colour and depth; 1 if there are none."""
    T = target.T_world_camera.float()
    rays = unproject(torch.ones(target.camera.size), target.camera) @ T[:3, :3].mT
    depth = (distance_m - T[0, 3]) / rays[..., 0]
    across = (T[1:3, 3] + rays[..., 1:] * depth[..., None]).abs().amax(dim=-1)
    where = (depth > 0) & (across < 0.27)
    there = shown.seen & pink(shown.image) & ((shown.depth / depth - 1).abs() < 0.05)
    return float(there[where].float().mean()) if where.any() else 1.0


class EditingContract(MemorySubject):
    """``edit``, for memories that have it."""

    def editable(self, views: list[View] | None = None, *, source: str = "observed") -> Editable:
        """Return a memory of some views."""
        memory = self.memory_of([dataclasses.replace(v, source=source) for v in (VIEWS if views is None else views)])
        if not isinstance(memory, Editable):
            pytest.skip("this memory cannot be edited")
        return memory

    # -- removing ----------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize(
        ("kind", "source"), [("box", "observed"), ("box", "generated"), ("sphere", "observed"), ("mask", "generated")]
    )
    def test_what_is_removed_is_shown_from_nowhere(self, kind: str, source: str) -> None:
        memory = self.editable(source=source)
        assert max(panel_shown(memory.project(t), t) for t in POSES) > 0.8
        done = memory.edit(Edit(regions_of(kind, memory)))
        assert min(done.removed, done.views, done.pixels) > 0
        assert done.added == 0
        for target in POSES:
            shown = memory.project(target)
            assert panel_shown(shown, target) == 0
            wall = box_view(target.camera, target.T_world_camera)
            behind = panel(target) & shown.seen
            if behind.any():
                assert (shown.image.float() - wall.image.float())[behind].abs().mean() < 30, "the wall, not the panel"
        colors = memory.elements()
        assert not BOX.contains(colors.position.double()).any()

    def test_what_is_around_stays(self) -> None:
        memory = self.editable()
        before = [memory.project(t) for t in POSES]
        memory.edit(Edit((BOX,)))
        for target, old in zip(POSES, before, strict=True):
            new = memory.project(target)
            near = torch.nn.functional.max_pool2d(panel(target)[None].float(), 9, stride=1, padding=4)[0] > 0
            assert (new.seen | ~old.seen | near).float().mean() > 0.995
            error = (new.image.float() - old.image.float())[new.seen & old.seen & ~near]
            assert error.abs().mean() < 1.5

    def test_no_reference_shows_it(self) -> None:
        """Pictures that a generator looks at have the wall where the panel was, as far as the memory knows it."""
        memory = self.editable()
        memory.edit(Edit((BOX,)))
        recall = memory.read([FACING], 4, record=False)
        found = 0
        for view in (*recall.views, *recall.newest):
            where = panel(view.target)
            if where.sum() < 20:
                continue
            found += 1
            # Along the way out of the picture nobody else saw the wall; there its colours are those around.
            with_it, without = (
                box_view(view.camera, view.T_world_camera, panel=each).image.float() for each in (True, False)
            )
            to_wall, to_panel = ((view.image.float() - each)[where].abs().mean() for each in (without, with_it))
            assert to_wall < 0.6 * to_panel
            assert view.latent is None
        assert found

    def test_views_that_lost_something_are_no_answer(self) -> None:
        memory = self.editable()
        memory.edit(Edit((BOX,)))
        for view in VIEWS:
            found = memory.find(view.target)
            assert (found is None) == bool(panel(view.target).any())

    def test_a_view_without_depth_does_not_show_it(self) -> None:
        """Where a camera measured nothing its picture shows the panel all the same, at its own pose."""
        blind = dataclasses.replace(VIEWS[4], depth=torch.full(CAMERA.size, torch.nan))
        assert panel(blind.target).any()
        memory = self.editable([*VIEWS[:4], VIEWS[4], blind])
        memory.edit(Edit((BOX,)))
        shown = memory.project(blind.target)
        truth = box_view(CAMERA, blind.T_world_camera, panel=True)
        same = (shown.image.int() - truth.image.int()).abs().amax(dim=-1) == 0
        assert not (same & shown.seen)[panel(blind.target)].any()

    def test_what_comes_later_is_shown_there(self) -> None:
        memory = self.editable()
        memory.edit(Edit((BOX,)))
        again = box_view(CAMERA, FACING.T_world_camera, panel=True)
        write(memory, [again])
        assert panel_shown(memory.project(FACING), FACING) > 0.95
        memory.undo()
        assert panel_shown(memory.project(FACING), FACING) == 0
        assert memory.commits[-1] == 0

    # -- adding ------------------------------------------------------------------------------------------------------
    @pytest.mark.parametrize("source", ["observed", "generated"])
    def test_what_is_added_is_shown_from_everywhere(self, source: str) -> None:
        memory = self.editable(source=source)
        done = memory.edit(Edit(add=sheet()))
        assert done.added > 100
        assert (done.removed, done.views, done.pixels) == (0, 0, 0)
        # From ahead, from behind, and at the poses of views that saw the room without it.
        for target in POSES:
            assert sheet_shown(memory.project(target), target) > 0.9
        shown = memory.project(FACING)
        there = pink(shown.image)
        assert there.any()
        assert (shown.confidence[there] <= IMAGINED_CONFIDENCE).all(), "no camera saw it"

    def test_cameras_that_look_through_it_change_nothing(self) -> None:
        memory = self.editable(VIEWS[:3])
        memory.edit(Edit(add=sheet()))
        write(memory, VIEWS)
        write(memory, [dataclasses.replace(v, source="generated") for v in VIEWS])
        for target in POSES:
            assert sheet_shown(memory.project(target), target) > 0.9

    def test_references_and_answers_show_it(self) -> None:
        memory = self.editable()
        memory.edit(Edit(add=sheet()))
        for view in memory.read([FACING], 4, record=False).views:
            again = dataclasses.replace(memory.project(view.target), image=view.image)
            assert sheet_shown(again, view.target) > 0.9
        for view in VIEWS:
            hidden = pink(memory.project(view.target).image).any()
            assert (memory.find(view.target) is None) == bool(hidden)

    def test_what_was_added_can_be_removed(self) -> None:
        memory = self.editable()
        before = [memory.project(t) for t in POSES]
        memory.edit(Edit(add=sheet()))
        memory.edit(Edit((Sphere([1.0, 0.0, 0.0], 0.5),)))
        assert all(same_projection(memory.project(t), old) for t, old in zip(POSES, before, strict=True))
        memory.undo()
        assert sheet_shown(memory.project(FACING), FACING) > 0.9

    def test_removing_and_adding_are_one_commit(self) -> None:
        memory = self.editable()
        before = snapshot(memory)
        memory.edit(Edit((BOX,), sheet()))
        assert tuple(memory.commits) == (1,) * 8 + (0,)
        assert panel_shown(memory.project(FACING), FACING) == 0
        assert sheet_shown(memory.project(FACING), FACING) > 0.9
        memory.undo()
        assert differences(snapshot(memory), before) == []

    def test_a_single_point(self) -> None:
        memory = self.editable()
        memory.edit(Edit(add=sheet().select(torch.tensor([3]))))
        memory.undo()
        check_same(memory, self.editable())

    def test_normals_and_radii_are_taken(self) -> None:
        memory = self.editable()
        cloud = sheet(n=8)
        whole = dataclasses.replace(
            cloud, normal=torch.tensor([-1.0, 0, 0]).expand(64, 3).clone(), radius=torch.full((64,), 0.06)
        )
        memory.edit(Edit(add=whole))
        assert sheet_shown(memory.project(FACING), FACING) > 0.9

    # -- commits, undo, files ----------------------------------------------------------------------------------------
    def test_undo_leaves_what_was_before(self) -> None:
        latent = torch.randn(4, 5, 6)
        views = [dataclasses.replace(view, latent=latent, embedding=latent[0, 0]) for view in VIEWS[:5]]
        memory = self.editable(views)
        before = snapshot(memory)
        memory.edit(Edit((BOX,)))
        assert differences(snapshot(memory), before) != []
        memory.edit(Edit((Sphere([3.0, 0.0, 0.0], 0.8),), sheet()))
        write(memory, VIEWS[4:7])
        memory.edit(Edit((Sphere([-3.0, 0.0, 0.0], 0.8),)))
        assert tuple(memory.commits) == (1, 1, 1, 1, 1, 0, 0, 3, 0)
        memory.undo(2)
        assert tuple(memory.commits) == (1, 1, 1, 1, 1, 0, 0)
        memory.undo(2)
        assert differences(snapshot(memory), before) == []
        check_same(memory, self.editable(views))

    def test_an_edit_ends_a_run(self) -> None:
        memory = self.editable(VIEWS[:2])
        write(memory, VIEWS[2:3], label="a")
        memory.edit(Edit(add=sheet()))
        write(memory, VIEWS[3:4], label="a")
        assert tuple(memory.commits) == (1, 1, 1, 0, 1)

    def test_everything_comes_back(self) -> None:
        memory = self.edited()
        tensors, metadata = snapshot(memory)
        other = self.editable(VIEWS[5:6])
        other.restore(tensors, json.loads(json.dumps(metadata)))
        assert tuple(other.commits) == tuple(memory.commits)
        while memory.commits:
            check_same(other, memory)
            for each in (other, memory):
                each.undo()
        check_same(other, memory)

    @pytest.mark.parametrize("seed", range(3))
    def test_any_history_equals_its_outcome(self, seed: int) -> None:
        """After writes, edits and undos in any order, memory is bit by bit one of what is left of them."""
        choose = random.Random(seed)
        memory = self.editable(VIEWS[:1])
        left: list[Edit | list[View]] = [VIEWS[:1]]
        edits = [
            Edit((BOX,)),
            Edit(add=sheet()),
            Edit((Sphere([1.0, 0.2, 0.0], 0.7),), sheet(0.5)),
            Edit((Sphere([3.0, 0, 0], 1.0),)),
        ]
        for _ in range(12):
            action = choose.choice(["write", "write", "edit", "undo", "read"])
            if action == "write":
                left.append(
                    [
                        dataclasses.replace(v, source=choose.choice(["observed", "generated"]))
                        for v in choose.sample(VIEWS, 2)
                    ]
                )
                write(memory, left[-1])
            elif action == "edit":
                edit = choose.choice(edits)
                try:
                    memory.edit(edit)
                    left.append(edit)
                except InvalidEditError:
                    pass
            elif action == "undo" and len(left) > 2:
                n = choose.randint(1, 2)
                memory.undo(n)
                del left[-n:]
            elif action == "read":
                memory.read([choose.choice(VIEWS).target], 4, record=False)
        again = self.make()
        for step in left:
            if isinstance(step, Edit):
                again.edit(step)
            else:
                write(again, step)
        check_same(memory, again)
        for each in (memory, again):
            write(each, VIEWS[:1])
        check_same(memory, again)

    def test_forgetting_keeps_what_was_edited(self) -> None:
        memory = self.bounded(6)
        if not isinstance(memory, Editable):
            pytest.skip("this memory cannot be edited")
        write(memory, VIEWS[:6], label="")
        memory.edit(Edit((BOX,), sheet()))
        for view in VIEWS[6:]:
            write(memory, [dataclasses.replace(view, source="generated")])
        assert len(memory) <= 6
        saved = snapshot(memory)
        assert sheet_shown(memory.project(FACING), FACING) > 0.9
        again = self.bounded(6)
        again.restore(*saved)
        check_same(memory, again)
        while memory.commits:
            memory.undo()
        assert differences(snapshot(memory, votes=False), snapshot(self.make(), votes=False)) == []

    # -- refused -----------------------------------------------------------------------------------------------------
    def test_nothing_there(self) -> None:
        memory = self.editable(VIEWS[3:6])
        before = snapshot(memory)
        with pytest.raises(InvalidEditError, match="nothing that is remembered lies there"):
            memory.edit(Edit((Sphere([0.0, 0.0, 0.0], 0.1),)))
        assert differences(snapshot(memory), before) == []
        memory.edit(Edit((BOX,)))
        with pytest.raises(InvalidEditError, match="nothing that is remembered"):
            memory.edit(Edit((BOX,)))

    def test_nothing_remembered(self) -> None:
        memory = self.make()
        if not isinstance(memory, Editable):
            pytest.skip("this memory cannot be edited")
        with pytest.raises(NotSeededError):
            memory.edit(Edit(add=sheet()))
        assert differences(snapshot(memory), snapshot(self.make())) == []

    def test_an_edit_that_fails_at_any_moment_leaves_no_trace(self) -> None:
        memory, other = self.editable(VIEWS[:4]), self.editable(VIEWS[:4])
        edit = Edit((BOX,), sheet())
        before = snapshot(memory)
        operations = operations_of(lambda: other.edit(edit))
        failed = 0
        for number in moments(operations, _MOMENTS):
            if failing_at(lambda: memory.edit(edit), number):
                failed += 1
                assert differences(snapshot(memory), before) == [], f"operation {number} of {operations}"
            else:
                memory.undo()
        assert failed > _MOMENTS // 2
        memory.edit(edit)
        check_same(memory, other)

    def test_damaged_entries(self) -> None:
        (tensors, metadata), memory = snapshot(self.edited()), self.editable(VIEWS[5:6])
        names = [name for name in tensors if name.startswith("edits/") or re.fullmatch("changes_of_views/[a-z]+", name)]
        assert len(names) == 11
        for name in names:
            value = tensors[name]
            missing = {n: t for n, t in tensors.items() if n != name}
            check_refused(memory, missing, metadata, f"{name} is missing")
            ends = None if value.is_floating_point() else torch.iinfo(value.dtype)
            wrong = [value[:-1], value[..., None], value.to(torch.int16)]
            if value.dtype != torch.uint8:
                for place, number in enumerate((-1.0, 1e30) if ends is None else (ends.min, ends.max)):
                    damaged = value.clone()
                    damaged.view(-1)[-place] = number
                    wrong.append(damaged)
            for each in wrong:
                check_refused(memory, tensors | {name: each}, metadata, f"{name} is {each}")

    def edited(self) -> Editable:
        """Return a memory with edits between views."""
        latent = torch.randn(4, 5, 6)
        memory = self.editable([dataclasses.replace(view, latent=latent) for view in VIEWS[:5]])
        memory.edit(Edit((BOX,), sheet()))
        write(memory, VIEWS[5:7])
        memory.edit(Edit((Sphere([1.0, 0.0, 0.0], 0.2), Sphere([3.0, 0.0, 0.0], 0.8))))
        write(memory, VIEWS[7:])
        return memory
