"""Worlds that are edited: what is gone stays gone in what is drawn, in branches and in files, until it is undone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from comparisons import differences, same_projection, snapshot
from memory_editing import BOX, FACING, panel, panel_shown, pink, sheet
from memory_subject import CAMERA, VIEWS
from rooms import box_view, orbit
from vmem_ros.edits import Box, Edit, Sphere, UnderMask
from vmem_ros.errors import InvalidEditError, InvalidPoseError, NothingToUndoError, NotSeededError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import Editable
from vmem_ros.types import Elements, Target
from vmem_ros.world import World

PATH = [Target(CAMERA, T) for T in orbit(24, radius=0.9)[10:15]]
MASK = UnderMask(FACING, panel(FACING), thickness_m=0.1)


def world_of(kind: str, views: int = 8, memory: object = None) -> World:
    out = World(load_memory(kind) if memory is None else memory, ReprojectionGenerator(), MemoryDepth(), chunk=2)
    for view in VIEWS[:views]:
        out.observe(view)
    return out


@pytest.fixture(params=["surfel", "points"])
def world(request: pytest.FixtureRequest) -> World:
    return world_of(request.param)


def test_generation_draws_something_else_there(world: World) -> None:
    """Also at the poses of views that showed it, and in what is remembered of the drawn views."""
    world.edit(remove=[MASK])
    targets = [*PATH, FACING, *(view.target for view in VIEWS if panel(view.target).any())]
    for target, frame in zip(targets, world.explore(targets, seed=1), strict=True):
        assert not frame.reused
        where = panel(target)
        if where.sum() < 10:
            continue
        with_it, without = (box_view(CAMERA, target.T_world_camera, panel=each).image.float() for each in (True, False))
        to_wall, to_panel = ((frame.view.image.float() - each)[where].abs().mean() for each in (without, with_it))
        assert to_wall < 0.6 * to_panel
        assert (frame.confidence[where] < 1).any(), "some of the wall nobody has seen"
    assert max(panel_shown(world.glimpse(t), t) for t in targets) == 0


def test_what_was_drawn_is_not_drawn_again_without_an_edit(world: World) -> None:
    assert next(iter(world.explore([VIEWS[4].target]))).reused
    world.edit(add=sheet())
    frame = next(iter(world.explore([VIEWS[4].target])))
    assert not frame.reused
    assert pink(frame.view.image).sum() > 20
    assert next(iter(world.explore([VIEWS[4].target]))).reused


def test_branches_are_edited_apart(world: World) -> None:
    before = snapshot(world.memory)
    other = world.branch()
    other.edit(remove=[BOX])
    third = other.branch()
    third.edit(add=sheet())
    list(world.explore(PATH[:2], seed=2))
    for _ in range(2):
        assert panel_shown(world.glimpse(FACING), FACING) > 0.8
        assert panel_shown(other.glimpse(FACING), FACING) == 0
        assert not pink(other.glimpse(FACING).image).any()
        assert pink(third.glimpse(FACING).image).any()
    alone = world_of(world.memory.kind)
    alone.edit(remove=[BOX])
    alone.edit(add=sheet())
    assert differences(snapshot(third.memory, votes=False), snapshot(alone.memory, votes=False)) == []
    third.undo(2)
    third.release()
    other.undo()
    world.undo()
    assert differences(snapshot(other.memory, votes=False), before) in ([], ["views/popularity"])
    with pytest.raises(NothingToUndoError):
        world.undo(9)


def test_a_cloud_is_taken_as_it_is_now(world: World) -> None:
    """Branches write an edit again when they are asked; by then whoever made the cloud has used its buffer anew."""
    cloud = sheet()
    other = world.branch()
    other.edit(add=cloud)
    shown = other.glimpse(FACING)
    cloud.color.fill_(0)
    cloud.position.fill_(0)
    world.glimpse(FACING)
    assert same_projection(other.glimpse(FACING), shown)


def test_files(world: World, tmp_path: Path) -> None:
    world.edit(remove=[Sphere([3.0, 0.0, 0.0], 0.7)], add=sheet())
    list(world.explore(PATH[:3], seed=2))
    world.edit(remove=[BOX])
    world.save(tmp_path / "world")
    again = world_of(world.memory.kind, views=1)
    again.load(tmp_path / "world")
    for each in (world, again):
        assert tuple(each.memory.commits) == (1,) * 8 + (0, 3, 0)
        assert pink(each.glimpse(FACING).image).any()
    for _ in range(3):
        for each in (world, again):
            each.undo()
        assert differences(snapshot(again.memory), snapshot(world.memory)) == []
        assert same_projection(world.glimpse(FACING), again.glimpse(FACING))
    assert panel_shown(again.glimpse(FACING), FACING) > 0.8


def test_what_is_not_committed_knows_of_edits(world: World) -> None:
    world.edit(remove=[BOX])
    before = snapshot(world.memory)
    imagined = [frame.view.image for frame in world.explore([FACING], seed=3, commit=False)]
    assert differences(snapshot(world.memory), before) == []
    assert torch.equal(imagined[0], next(iter(world.explore([FACING], seed=3))).view.image)


def test_between_the_chunks_of_a_run(world: World) -> None:
    """What is drawn after the edit knows of it, and the run is two commits."""
    chunks = world.explore_chunks([*PATH[:2], FACING, PATH[3]], seed=1)
    next(chunks)
    world.edit(remove=[BOX], add=sheet())
    frame = next(chunks).frames[0]
    assert pink(frame.view.image).any()
    assert tuple(world.memory.commits[-3:]) == (2, 0, 2)
    world.undo(2)
    assert panel_shown(world.glimpse(FACING), FACING) > 0.8


class TestRefused:
    @pytest.mark.parametrize(
        ("edit", "error", "text"),
        [
            (dict, InvalidEditError, "something to remove or to add"),
            (lambda: {"remove": [Sphere([0.0, 0, 0], 0.1)]}, InvalidEditError, "nothing that is remembered lies there"),
            (lambda: {"remove": BOX}, InvalidEditError, "must be a list of regions, got Box"),
            (lambda: {"remove": [Sphere([0.0, 0, 0], -1)]}, InvalidEditError, "radius_m of a sphere must be positive"),
            (lambda: {"remove": [Sphere([0.0, torch.nan, 0], 1)]}, InvalidEditError, "centre of a sphere"),
            (lambda: {"remove": [Sphere("here", 1)]}, InvalidEditError, "must be three numbers"),
            (lambda: {"remove": [Box.between([0.0, 0, 0], [1.0, 0, 1])]}, InvalidEditError, "size_m of a box"),
            (lambda: {"remove": [Box(torch.full((4, 4), torch.nan), [1.0, 1, 1])]}, InvalidPoseError, "box"),
            (lambda: {"remove": [Box(torch.eye(4), [1e12, 1, 1])]}, InvalidEditError, "1e.09 m"),
            (lambda: {"remove": [UnderMask(FACING, MASK.mask[:-1])]}, InvalidEditError, "like the camera"),
            (lambda: {"remove": [UnderMask(FACING, MASK.mask & False)]}, InvalidEditError, "mask is empty"),
            (lambda: {"remove": [UnderMask(FACING, MASK.mask, thickness_m=-1)]}, InvalidEditError, "thickness_m"),
            (lambda: {"add": sheet().select(torch.empty(0).long())}, InvalidEditError, "has 0 points"),
            (lambda: {"add": sheet().select(torch.zeros(2**19 + 1).long())}, InvalidEditError, "thin it"),
            (lambda: {"add": _changed(position=sheet().position * torch.nan)}, InvalidEditError, "not finite"),
            (lambda: {"add": _changed(color=sheet().color.float())}, InvalidEditError, "color of the cloud must be"),
            (lambda: {"add": _changed(normal=sheet().position * 9)}, InvalidEditError, "unit vectors"),
            (lambda: {"add": _changed(radius=torch.zeros(len(sheet())))}, InvalidEditError, "radii"),
        ],
    )
    def test_bad_input_changes_nothing(self, edit, error, text) -> None:
        world = world_of("surfel", views=2)
        before = snapshot(world.memory)
        with pytest.raises(error, match=text):
            world.edit(**edit())
        assert differences(snapshot(world.memory), before) == []

    def test_an_empty_world(self) -> None:
        with pytest.raises(NotSeededError, match="seed it first"):
            world_of("points", views=0).edit(add=sheet())

    def test_a_memory_that_cannot(self) -> None:
        """It says so by its name, whatever is asked."""
        memory = load_memory("surfel")

        class Fixed:
            """Everything but ``edit``."""

            kind = "fixed:create"

            def __getattr__(self, name: str) -> object:
                if name == "edit":
                    raise AttributeError(name)
                return getattr(memory, name)

            def __len__(self) -> int:
                return len(memory)

        assert not isinstance(Fixed(), Editable)
        world = world_of("", views=1, memory=Fixed())
        with pytest.raises(InvalidEditError, match="a memory of kind 'fixed:create' cannot be edited"):
            world.edit(remove=[BOX])
        assert len(world) == 1


def test_a_region_far_from_the_origin() -> None:
    """As everything else, where float32 has no millimetres any more."""
    away = torch.eye(4, dtype=torch.float64)
    away[:3, 3] = torch.tensor([2e5, -1e5, 300.0])
    for kind in ("surfel", "points"):
        world = World(load_memory(kind), ReprojectionGenerator(), MemoryDepth())
        for view in VIEWS:
            world.observe(dataclasses.replace(view, T_world_camera=away @ view.T_world_camera))
        there = Target(CAMERA, away @ FACING.T_world_camera)
        near = world_of(kind)
        done = world.edit(remove=[Box(away @ BOX.T_world_box, BOX.size_m)])
        expected = near.edit(remove=[BOX])
        assert done.pixels == pytest.approx(expected.pixels, rel=0.02)
        shown = world.glimpse(there)
        assert same_share(shown.seen, near.glimpse(FACING).seen)


def same_share(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Tell whether two masks are hardly different."""
    return bool((a == b).float().mean() > 0.98)


def _changed(**fields: torch.Tensor) -> Elements:
    return dataclasses.replace(sheet(), **fields)


def test_an_edit_of_nothing_is_none() -> None:
    with pytest.raises(InvalidEditError):
        Edit()


@pytest.mark.parametrize(("kind", "bound"), [("surfel", "max_surfels"), ("points", "max_points")])
def test_a_large_cloud_makes_no_view_forgotten(kind: str, bound: str) -> None:
    most = len(world_of(kind).memory.elements())
    world = world_of(kind, views=7, memory=load_memory(kind, **{bound: most}))
    world.edit(add=dense_sheet(most))
    world.observe(VIEWS[7])
    assert len(world) == 8
    assert pink(world.glimpse(FACING).image).any()


def dense_sheet(points: int) -> Elements:
    """Return a sheet of at least so many points, none in the same voxel as another."""
    n = int(points**0.5) + 1
    cloud = sheet(n=n)
    return dataclasses.replace(cloud, position=cloud.position * torch.tensor([1.0, 0.03 * n, 0.03 * n]))
