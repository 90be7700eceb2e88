"""Readings between two surfaces are found; thin structures and slanted surfaces are none."""

import numpy as np
import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera, pixel_rays
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.geometry.one_surface import OneSurface
from vmem_ros.pointmaps.sensor_flying import flying_pixels
from vmem_ros.recordings.sensor_noise import measured_depth

CAMERA = Camera.from_fov(192, 128, 40)
SURFACE = OneSurface(SENSORS["tof"], CAMERA.fx)


def step(near: float = 1.0, far: float = 3.0) -> np.ndarray:
    """Return the inverse depth of something near on the left, and something far on the right from column 40 on."""
    depth = np.full(CAMERA.size, near, np.float32)
    depth[:, 40:] = far
    return 1 / depth


def test_a_clean_edge_has_none() -> None:
    assert not flying_pixels(step(), SURFACE).any()


@pytest.mark.parametrize("depth", [1.3, 2.0, 2.6])
def test_a_row_of_mixed_pixels_along_an_edge(depth: float) -> None:
    mixed = step()
    mixed[:, 40] = 1 / depth
    found = flying_pixels(mixed, SURFACE)
    assert found[:, 40].all()
    assert found.sum() == len(found)


def test_pixels_that_are_mixed_at_random() -> None:
    rng = np.random.default_rng(0)
    mixed = step()
    wrong = np.zeros(CAMERA.size, bool)
    wrong[:, 39:42] = rng.random((CAMERA.height, 3)) < 0.5
    mixed[wrong] = 1 / rng.uniform(1.1, 2.8, wrong.sum())
    found = flying_pixels(mixed, SURFACE)
    assert found[wrong].mean() > 0.75
    assert found[~wrong].sum() <= 0.01 * wrong.sum()


def test_between_a_surface_and_the_sky() -> None:
    mixed = step(near=2.0, far=np.inf)
    mixed[:, 40] = 1 / 5.0
    assert flying_pixels(mixed, SURFACE)[:, 40].all()


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("sensor", ["tof", "stereo"])
def test_a_chair_leg_stays(width: int, sensor: str) -> None:
    """Upright and oblique legs at 1.5 m before a wall at 2.5 m, with the noise of the sensor."""
    rng = np.random.default_rng(0)
    depth = np.full(CAMERA.size, 2.5, np.float32)
    depth[10:90, 20 : 20 + width] = 1.5
    for row in range(10, 90):
        depth[row, 60 + row // 3 : 60 + row // 3 + width] = 1.5
    noise = SENSORS[sensor]
    surface = OneSurface(noise, CAMERA.fx)
    depth += rng.normal(size=depth.shape) * 0.4 * noise.triangulation * depth**2
    assert not flying_pixels(1 / depth, surface).any()


def test_a_cable_before_a_wall_stays_up_to_the_table_that_it_hangs_from() -> None:
    depth = np.full(CAMERA.size, 3.0, np.float32)
    depth[:20] = 1.0
    depth[20:, 40] = 1.2
    found = flying_pixels(1 / depth, SURFACE)
    assert not found[21:].any()
    assert found.sum() <= 1


@pytest.mark.parametrize("normal", [(0.0, 0.99, 0.1), (0.9, 0.1, 0.4), (0.3, 0.3, 0.9)])
def test_a_slanted_surface_stays_up_to_the_horizon(normal: tuple[float, float, float]) -> None:
    inverse = (pixel_rays(CAMERA) @ torch.tensor(normal)).numpy() / 2
    inverse[inverse < 0] = 0
    # Towards its horizon at 2 m the pixels of a plane are metres apart.
    assert not flying_pixels(inverse, SURFACE)[inverse > 1 / 50].any()


def test_noise_is_no_edge() -> None:
    rng = np.random.default_rng(0)
    noise = SENSORS["stereo"]
    depth = np.full(CAMERA.size, 7.0, np.float32)
    depth += rng.normal(scale=noise.triangulation * 49, size=depth.shape).astype(np.float32)
    assert flying_pixels(1 / depth, OneSurface(noise, 600.0)).mean() < 0.002


def test_in_a_room_most_is_found_and_most_of_what_is_removed_is_wrong() -> None:
    """What a time-of-flight camera makes of a panel before a wall: noise, holes and mixed readings."""
    rng = np.random.default_rng(0)
    caught = removed = flying = 0
    for pose in orbit(5):
        view = box_view(CAMERA, pose, panel=True)
        truth, measured = view.depth.numpy(), measured_depth(view, "tof", rng).numpy()
        near = np.pad(truth, 2, mode="edge")
        height, width = truth.shape
        shifted = [near[y : y + height, x : x + width] for y in range(5) for x in range(5)]
        wrong = np.fmin.reduce([np.abs(measured / other - 1) for other in shifted]) > 0.04
        found = flying_pixels(1 / measured, SURFACE)
        caught, removed, flying = caught + (found & wrong).sum(), removed + found.sum(), flying + wrong.sum()
    assert flying > 100
    assert caught > 0.7 * flying
    assert caught > 0.6 * removed
