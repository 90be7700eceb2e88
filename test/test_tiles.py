"""Large projections, drawn in tiles."""

from __future__ import annotations

import pytest
import torch

from rooms import box_view
from vmem_ros import tiles
from vmem_ros.errors import CancelledError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.types import Projection, Target
from vmem_ros.world import World, default_world

LENS = Camera.from_fov(144, 108, 80)
TARGET = Target(Camera.from_fov(200, 150, 80), look_at((-0.8, 0.2, 0.1), (3, 0.3, 0.2)))


@pytest.fixture(params=sorted(MEMORIES))
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(tiles, "TILE_PIXELS", 64 * 48)
    world = default_world(memory=load_memory(request.param))
    for y in (-0.5, 0.0, 0.5):
        world.observe(box_view(LENS, look_at((-1.0, y, 0.0), (3.0, 0.0, 0.0))))
    return world


def drawn(world: World, target: Target) -> tuple[Projection, int]:
    """Return a projection and how often something else might have run."""
    steps, pauses = world.glimpse_in_tiles(target), 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, pauses
        pauses += 1


def test_tiles_show_what_the_whole_shows(world: World) -> None:
    whole = world.glimpse(TARGET)
    tiled, pauses = drawn(world, TARGET)
    assert pauses >= 10
    assert 0.5 < float(whole.seen.float().mean()) < 1
    assert (tiled.seen == whole.seen).float().mean() > 0.9995
    both = tiled.seen & whole.seen
    difference = (tiled.image.int() - whole.image.int()).abs().amax(dim=-1)[both]
    assert (difference > 1).float().mean() < 5e-4
    assert (tiled.confidence != whole.confidence).float().mean() < 5e-4
    close = torch.isclose(tiled.depth, whole.depth, rtol=1e-4, equal_nan=True)
    assert close.float().mean() > 0.9995


@pytest.mark.parametrize("size", [(200, 1), (1, 150), (2000, 5)])
def test_any_shape(world: World, size: tuple[int, int]) -> None:
    camera = TARGET.camera.cropped(3, 20, *size)
    tiled, _ = drawn(world, Target(camera, TARGET.T_world_camera))
    assert tuple(tiled.image.shape[:2]) == camera.size
    assert tiled.seen.any()


def test_a_view_at_its_own_pose_shows_itself(world: World) -> None:
    own = world.memory.views[0]
    shown, pauses = drawn(world, own.target)
    assert pauses == 0
    assert torch.equal(shown.image, own.image)


def test_it_may_be_given_up(world: World) -> None:
    steps = world.glimpse_in_tiles(TARGET)
    next(steps)
    with pytest.raises(CancelledError):
        steps.throw(CancelledError("nobody waits for it any more"))
