"""What a robot has seen: surface in cells, floor under rays, and where known floor ends."""

import numpy as np
import pytest
import torch

from vmem_ros.geometry import Camera
from vmem_ros.planning.drives import Place
from vmem_ros.planning.seen_space import SeenSpace
from vmem_ros.scenes import House
from vmem_ros.scenes.trajectories import CLEARANCE_M
from vmem_ros.types import Target, View

CAMERA = Camera.from_fov(48, 36, 80)


@pytest.fixture(scope="module")
def house() -> House:
    return House(1_000_001)


@pytest.fixture
def seen(house: House) -> SeenSpace:
    return SeenSpace(house.free_space, house.free_space.reachable(CLEARANCE_M))


def wall_at(distance_m: float) -> View:
    """A view of a wall across the way, from the middle of the house, along x."""
    T = Place(np.array([2.0, 2.0]), 0.0).pose
    depth = torch.full(CAMERA.size, distance_m)
    return View(torch.zeros(*CAMERA.size, 3, dtype=torch.uint8), CAMERA, T, depth)


def test_surface_is_counted_once(seen: SeenSpace) -> None:
    view = wall_at(1.0)
    everything = torch.ones(CAMERA.size, dtype=torch.bool)
    expected = seen.new_area_m2([(view, everything)])
    # A wall of 2 tan 40 degrees by three quarters of that, in cells of its edges.
    assert expected == pytest.approx(1.68 * 1.26, rel=0.35)
    assert seen.new_area_m2([(view, everything), (view, everything)]) == expected
    assert seen.area_m2 == 0
    seen.add(view)
    assert seen.area_m2 == expected
    assert seen.new_area_m2([(view, everything)]) == 0
    assert seen.new_area_m2([(wall_at(2.0), ~everything)]) == 0


def test_what_is_out_of_range_or_unknown_is_not_seen(seen: SeenSpace) -> None:
    seen.add(wall_at(5.1))
    seen.add(wall_at(float("nan")))
    seen.add(wall_at(float("inf")))
    assert seen.area_m2 == 0


def test_frontiers_lie_between_known_and_unknown_floor(house: House, seen: SeenSpace) -> None:
    assert seen.frontiers() == []
    places = house.free_space.centres(house.free_space.reachable(CLEARANCE_M))
    at = places[len(places) // 2]
    for heading in np.arange(0, 2 * np.pi, 1.2):
        seen.add(house.view(Target(CAMERA, Place(at, heading).pose)))
    found = seen.frontiers()
    assert found
    for cell, direction in found:
        assert house.free_space.at(cell[None])[0] >= CLEARANCE_M
        assert -np.pi <= direction <= np.pi
