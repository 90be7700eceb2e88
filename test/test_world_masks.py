"""A box walks through the room while a camera looks around: under a mask it leaves no ghost in any memory."""

from __future__ import annotations

import pytest
import torch

from memory_editing import pink
from rooms import box_view
from vmem_ros.errors import InvalidImageError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Target, View
from vmem_ros.world import World

CAMERA = Camera.from_fov(64, 48, 80)
STEPS = 8
POSES = [look_at((-1.5, 0.2 * n - 0.7, 0.0), (3.0, 0.5 - 0.15 * n, 0.0)) for n in range(STEPS)]
BETWEEN = [look_at((-1.2, 0.2 * n - 0.6, 0.1), (3.0, 0.4 - 0.1 * n, 0.0)) for n in range(STEPS)]
#: Of the box; no wall has its colour.
_HALF, _COLOR = torch.tensor([0.15, 0.3, 0.5]), torch.tensor([255, 0, 255], dtype=torch.uint8)


def walking(T: torch.Tensor, step: int) -> tuple[View, torch.Tensor]:
    """Return what a camera sees while the box is at its place in a step, and in which pixels it is [H, W] bool."""
    room = box_view(CAMERA, T)
    centre = torch.tensor([1.0, -1.2 + 0.3 * step, 0.0], dtype=torch.float64)
    rays = pixel_rays(CAMERA, dtype=torch.float64) @ T[:3, :3].mT
    near, far = (((centre - T[:3, 3]) + side * _HALF * rays.sign()) / rays for side in (-1, 1))
    depth = near.amax(dim=-1)
    where = (depth > 0) & (depth < far.amin(dim=-1)) & (depth < room.depth)
    assert where.any()
    image = torch.where(where[..., None], _COLOR, room.image)
    return View(image, CAMERA, T, torch.where(where, depth.float(), room.depth), stamp_ns=step), where


def world_of(kind: str, *, masked: bool) -> World:
    """Return a world that has seen every step from the pose of that step."""
    world = World(load_memory(kind), ReprojectionGenerator(), MemoryDepth(), chunk=4)
    for step, T in enumerate(POSES):
        view, where = walking(T, step)
        world.observe(view, mask=where if masked else None)
    return world


def ghosts(world: World) -> float:
    """Return the share of what is shown at stored poses and between them that has the colour of the box."""
    shown = [world.glimpse(Target(CAMERA, T)) for T in (*POSES, *BETWEEN)]
    return float(torch.stack([pink(each.image) & each.seen for each in shown]).float().mean())


@pytest.mark.parametrize("kind", MEMORIES)
def test_under_a_mask_it_leaves_no_ghost(kind: str) -> None:
    world = world_of(kind, masked=True)
    assert ghosts(world) == 0
    shown = world.glimpse(Target(CAMERA, BETWEEN[4]))
    truth = box_view(CAMERA, BETWEEN[4])
    assert shown.seen.float().mean() > 0.9, "others saw the wall behind it"
    assert ((shown.depth / truth.depth - 1).abs() < 0.1)[shown.seen & ~shown.depth.isnan()].float().mean() > 0.97
    targets = [Target(CAMERA, T) for T in (POSES[3], *BETWEEN[3:5])]
    recall = world.memory.read(targets, 4, record=False)
    assert not any(pink(view.image).any() for view in (*recall.views, *recall.newest, *world.memory.views))
    frames = list(world.explore(targets, seed=1))
    assert not any(pink(frame.view.image).any() for frame in frames)
    assert not frames[0].reused, "a picture with a hole in it is no answer"


@pytest.mark.parametrize("kind", MEMORIES)
def test_without_a_mask_it_does(kind: str) -> None:
    """Otherwise the test above would show nothing."""
    assert ghosts(world_of(kind, masked=False)) > 0.01


def test_what_is_behind_it_is_stored_in_its_place() -> None:
    """Whoever looks at the stored picture sees the wall, where another view saw it, and never what was masked."""
    world = World(load_memory("points"), ReprojectionGenerator(), MemoryDepth())
    world.observe(box_view(CAMERA, POSES[3]))
    view, where = walking(POSES[4], 4)
    world.observe(view, mask=where)
    stored, truth = world.memory.views[1], box_view(CAMERA, POSES[4])
    assert (stored.image.float() - truth.image.float())[where].abs().mean() < 15
    assert torch.equal(stored.image[~where], view.image[~where])
    assert stored.depth[where].isnan().all()
    assert not stored.confidence[where].any()


def test_all_of_a_picture() -> None:
    world = World(load_memory("points"), ReprojectionGenerator(), MemoryDepth())
    world.observe(box_view(CAMERA, POSES[0]))
    view, _ = walking(POSES[1], 1)
    with pytest.raises(InvalidImageError, match="mask must be bool"):
        world.observe(view, mask=torch.ones(CAMERA.size))
    world.observe(view, mask=torch.ones(CAMERA.size, dtype=torch.bool))
    assert not pink(world.memory.views[1].image).any()
    assert len(world) == 2
