"""What a viewer shows of a world: bounded, and the same objects for the same views."""

import numpy as np
import pytest

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.viewer import snapshot
from vmem_ros.viewer.snapshot import Snapshots
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(64, 48, 80)
VIEWS = [box_view(CAMERA, T) for T in orbit(6)]


@pytest.fixture
def world() -> World:
    world = default_world()
    for view in VIEWS[:4]:
        world.observe(view)
    return world


@pytest.mark.parametrize("kind", MEMORIES)
def test_fewer_elements_are_larger(kind: str) -> None:
    world = default_world(memory=load_memory(kind))
    for view in VIEWS:
        world.observe(view)
    every, few = (Snapshots().take(world, max_points=most).cloud for most in (10**6, 200))
    assert len(every.position) == len(world.memory.elements()) > 800
    assert len(few.position) == len(few.color) == len(few.radius) == 200
    wider = float(np.median(few.radius) / np.median(every.radius))
    assert wider == pytest.approx((len(every.position) / 200) ** 0.5, rel=0.5)
    assert every.confidence is not None
    assert (every.confidence == 1).all()


def test_a_view_is_made_small_once(world: World) -> None:
    snapshots = Snapshots()
    before = snapshots.take(world, max_points=100).views
    world.observe(VIEWS[4])
    after = snapshots.take(world, max_points=100).views
    assert len(after) == 5
    assert all(a is b for a, b in zip(before, after, strict=False))
    assert not after[0].generated
    assert np.array_equal(after[0].image, VIEWS[0].image.numpy())
    assert (after[0].target.T_world_camera == VIEWS[0].T_world_camera).all()


def test_only_the_newest_views_are_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MAX_VIEWS", 2)
    shown = Snapshots().take(world, max_points=100).views
    assert [s.target.T_world_camera.tolist() for s in shown] == [v.T_world_camera.tolist() for v in VIEWS[2:4]]


def test_large_pictures_become_small_ones() -> None:
    world = default_world()
    camera = Camera.from_fov(480, 240, 80)
    world.observe(box_view(camera, VIEWS[0].T_world_camera))
    (view,) = Snapshots().take(world, max_points=100).views
    assert view.image.shape == (80, 160, 3)


def test_an_empty_world_shows_nothing() -> None:
    empty = Snapshots().take(default_world(), max_points=100)
    assert len(empty.cloud.position) == 0
    assert empty.views == ()
