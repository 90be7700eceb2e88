"""No surface is remembered where none was seen: cameras rolled and pitched, outdoors, and a world with +X up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from outdoors import in_world, outdoor_view
from rooms import HALF, box_view
from vmem_ros.geometry import Camera, look_at, project, transform
from vmem_ros.geometry.poses import invert
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.pointmaps import GeometryPrior, MemoryDepth, MemoryDepthOptions
from vmem_ros.types import Target, View
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(64, 48, 75)
# Rows are the axes of a world whose x points up, as they lie in a scene whose z does.
X_UP = torch.eye(4, dtype=torch.float64)[[2, 0, 1, 3]]
FROM, TO = torch.tensor([-1.0, 0.3, 0.2]), torch.tensor([2.5, 0.4, 0.0])

Look = Callable[[Camera, Tensor], View]


def turned(axis: str, degrees: float) -> Tensor:
    """Return [4, 4] a turn of the camera about its own x (pitch) or z (roll)."""
    i, j = {"x": (1, 2), "z": (0, 1)}[axis]
    out, angle = torch.eye(4, dtype=torch.float64), torch.tensor(degrees).deg2rad()
    out[i, i] = out[j, j] = angle.cos()
    out[i, j], out[j, i] = -angle.sin(), angle.sin()
    return out


SCENES: dict[str, tuple[Look, Tensor, Tensor]] = {
    # A scene, how its cameras are turned about themselves, and how it lies in the world.
    "rolled by 30": (box_view, turned("z", 30), torch.eye(4, dtype=torch.float64)),
    "pitched by 60": (box_view, turned("x", -60), torch.eye(4, dtype=torch.float64)),
    "+X up": (box_view, turned("x", 0), X_UP),
    "outdoors": (outdoor_view, turned("x", 0), torch.eye(4, dtype=torch.float64)),
    "outdoors, rolled": (outdoor_view, turned("z", 30), torch.eye(4, dtype=torch.float64)),
    "outdoors, +X up": (outdoor_view, turned("x", -20), X_UP),
}


def poses_of(scene: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return where the scene is seen from, and where views are asked for that look past what was seen."""
    _, turn, _ = SCENES[scene]
    height = 1.4 if "outdoors" in scene else 0.0
    lift = torch.tensor([0.0, 0.0, height])
    seen = [
        look_at(FROM + lift, TO + lift) @ turn,
        look_at(FROM + lift, TO + lift + torch.tensor([0.0, -1.4, 0.0])) @ turn,
    ]
    asked = [
        look_at(FROM + lift + torch.tensor([0.1 * i, -0.1 * i, 0.0]), TO + lift + torch.tensor([0.0, -1.3 * i, 0.0]))
        @ turn
        for i in range(1, 6)
    ]
    return seen, asked


def explored(
    scene: str,
    prior: GeometryPrior,
    up: tuple[float, float, float] | None = (0.0, 0.0, 1.0),
    *,
    memory: str = "surfel",
) -> World:
    """Return a world that has seen a scene, and was asked for what it has not seen."""
    look, _, T_world_scene = SCENES[scene]
    seen, asked = poses_of(scene)
    world = default_world(memory=load_memory(memory), estimator=MemoryDepth(MemoryDepthOptions(prior=prior, up=up)))
    for T in seen:
        world.observe(in_world(look(CAMERA, T), T_world_scene))
    frames = list(world.explore([Target(CAMERA, T_world_scene @ T) for T in asked], seed=0))
    assert sum(float((~frame.projection.seen).float().mean()) for frame in frames) > 0.5, "there was nothing to imagine"
    if prior == "none":
        assert all(bool(frame.view.depth[~frame.projection.seen].isnan().all()) for frame in frames)
    return world


def observed_by(views: list[View], points: Tensor) -> Tensor:
    """Return [n] bool: points [n, 3] that lie on what one of the views saw."""
    out = torch.zeros(len(points), dtype=torch.bool)
    for view in views:
        uv, z = project(transform(invert(view.T_world_camera), points.double()), view.camera)
        u, v = uv.nan_to_num(nan=-1.0).floor().long().unbind(-1)
        inside = (u >= 0) & (u < view.camera.width) & (v >= 0) & (v < view.camera.height)
        depth = view.depth[v.clamp(0, view.camera.height - 1), u.clamp(0, view.camera.width - 1)]
        out |= inside & ((z / depth - 1).abs() < 0.05)
    return out


def elements_nobody_saw(world: World) -> Tensor:
    """Return the positions [n, 3] of elements that are not where an observed view has a surface."""
    position = world.memory.elements().position
    assert len(position) > 200
    return position[~observed_by([view for view in world.memory.views if view.source == "observed"], position)]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("scene", SCENES)
def test_without_a_prior_nothing_is_remembered_that_nobody_saw(scene: str, memory: str) -> None:
    world = explored(scene, "none", memory=memory)
    assert len(elements_nobody_saw(world)) == 0
    drawn = [view for view in world.memory.views if view.source == "generated"]
    assert any(bool(view.depth.isnan().any()) for view in drawn)


@pytest.mark.parametrize("scene", [name for name in SCENES if "outdoors" in name or name == "pitched by 60"])
def test_what_is_no_room_gets_no_walls(scene: str) -> None:
    """Outdoors, and where only the floor is seen."""
    up = (1.0, 0.0, 0.0) if "+X" in scene else (0.0, 0.0, 1.0)
    assert len(elements_nobody_saw(explored(scene, "room", up))) == 0


@pytest.mark.parametrize(("scene", "up"), [("+X up", (0.0, 0.0, 1.0)), ("+X up", None)])
def test_who_does_not_know_which_way_is_up_has_no_room(scene: str, up: tuple[float, float, float] | None) -> None:
    """A floor taken for a wall is worse than none: nothing is claimed, or it lies on the true sides of the box."""
    world = explored(scene, "room", up)
    unseen = elements_nobody_saw(world)
    if up is None:
        assert len(unseen) == 0
    in_scene = transform(invert(X_UP), unseen.double())
    assert bool(((in_scene.abs() / HALF).amax(dim=-1) < 1.05).all())


@pytest.mark.parametrize("scene", ["rolled by 30", "+X up"])
def test_a_room_is_found_however_the_camera_is_tilted(scene: str) -> None:
    _, _, T_world_scene = SCENES[scene]
    world = explored(scene, "room", (1.0, 0.0, 0.0) if scene == "+X up" else (0.0, 0.0, 1.0))
    unseen = elements_nobody_saw(world)
    assert len(unseen) > 100
    in_scene = transform(invert(T_world_scene), unseen.double())
    on_a_side = ((in_scene.abs() / HALF - 1).abs() < 0.03).any(dim=-1)
    inside = (in_scene.abs() / HALF).amax(dim=-1) < 1.03
    assert float((on_a_side & inside).float().mean()) > 0.98


def test_views_without_any_depth_are_stored_found_and_recalled() -> None:
    """Looking away from all that was seen: nothing is known, and the view is remembered all the same."""
    world = default_world()
    world.seed(box_view(CAMERA, look_at((0.0, 0.0, 0.0), (3.0, 0.0, 0.0))))
    elements = len(world.memory.elements())
    away = Target(CAMERA, look_at((0.0, 0.0, 0.0), (-3.0, 0.0, 0.0)))
    (frame,) = world.explore([away], seed=0)
    assert bool(frame.view.depth.isnan().all())
    assert not frame.projection.seen.any()
    assert len(world.memory.elements()) == elements
    assert torch.equal(world.memory.find(away).image, frame.view.image)
    (again,) = world.explore([away], seed=1)
    assert again.reused
    assert torch.equal(again.view.image, frame.view.image)
    beside = Target(CAMERA, look_at((0.1, 0.0, 0.0), (-3.0, 0.2, 0.0)))
    recall = world.memory.read([beside], 2)
    assert recall.fallback
    assert any(view.source == "generated" for view in recall.views)
    (next_to_it,) = world.explore([beside], seed=2)
    assert not next_to_it.reused
    restored = load_memory()
    restored.restore(*world.memory.state())
    assert bool(restored.find(away).depth.isnan().all())
    world.undo(2)
    assert world.memory.find(away) is None


def test_part_of_a_view_without_depth_still_answers_for_the_other() -> None:
    """Half of what is asked for was seen: its depth is kept, and the view is recalled for it."""
    world = default_world()
    world.seed(box_view(CAMERA, look_at((0.0, 0.0, 0.0), (3.0, 0.0, 0.0))))
    half = Target(CAMERA, look_at((0.0, 0.0, 0.0), (3.0, 2.2, 0.0)))
    (frame,) = world.explore([half], seed=0)
    seen = frame.projection.seen
    assert 0.1 < float(seen.float().mean()) < 0.9
    assert torch.equal(frame.view.depth.isfinite(), seen)
    shown = world.glimpse(half)
    assert float(shown.depth[seen].isfinite().float().mean()) > 0.95
    assert float(shown.depth[~seen].isfinite().float().mean()) < 0.2
    # At its very pose the view shows itself, also where nobody knows how far away that is; from elsewhere it cannot.
    assert bool(shown.seen.all())
    beside = Target(CAMERA, look_at((0.0, 0.05, 0.0), (3.0, 2.25, 0.0)))
    assert float(world.glimpse(beside).seen[~seen].float().mean()) < 0.2


def test_a_look_at_nothing_is_remembered_and_may_begin_a_world() -> None:
    """A camera that points at the sky measures +Inf everywhere."""
    world = default_world()
    up = outdoor_view(CAMERA, look_at((0.0, 0.0, 1.5), (0.5, 0.1, 9.0), up=(1.0, 0.0, 0.0)))
    assert bool(torch.isposinf(up.depth).all())
    world.seed(up)
    assert len(world.memory.elements()) == 0
    world.observe(outdoor_view(CAMERA, look_at((0.0, 0.0, 1.5), (4.0, 0.0, 1.0))))
    assert len(world.memory.elements()) > 100
