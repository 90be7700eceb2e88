"""Simulated sensors: each error has the size and the place that it should have."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from recorded import CAMERA, walk
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera, geodesic_distance, look_at
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.recordings.camera_noise import CameraNoise, motion_blur
from vmem_ros.recordings.pose_noise import perturbed_poses
from vmem_ros.recordings.sensor_noise import DEVICES, measured_depth
from vmem_ros.recordings.smooth_noise import smooth_noise
from vmem_ros.types import View

SIZE = (120, 160)
NOISY = [name for name in DEVICES if name != "exact"]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def before_a_wall(depth_m: float, *, gray: float = 128, texture: float = 40, fov_deg: float = 20) -> View:
    """Return a camera that looks straight at a wall, exact."""
    image = (gray + texture * np.random.default_rng(1).uniform(-1, 1, (*SIZE, 1)).repeat(3, axis=2)).clip(0, 255)
    depth = torch.full(SIZE, depth_m)
    return View(torch.from_numpy(image.astype(np.uint8)), Camera.from_fov(160, 120, fov_deg), torch.eye(4), depth)


def holes(depth: torch.Tensor) -> float:
    return float(depth.isnan().float().mean())


def test_smooth_noise_has_variance_one_and_is_as_smooth_as_asked() -> None:
    noise = smooth_noise((4000, 3), over=5.0, axes=(0,), rng=rng())
    assert noise.std() == pytest.approx(1, abs=0.1)
    neighbours = np.mean(noise[:-1] * noise[1:])
    assert neighbours == pytest.approx(math.exp(-1 / (4 * 5.0**2)), abs=0.05)
    # Columns have nothing to do with one another.
    assert abs(np.mean(noise[:, 0] * noise[:, 1])) < 0.2
    assert smooth_noise((10000,), over=0, axes=(0,), rng=rng()).std() == pytest.approx(1, abs=0.05)


def test_sigma_grows_as_each_kind_of_sensor_does() -> None:
    depth, facing = torch.tensor([1.0, 2.0, 4.0]), torch.ones(3)
    for name in ("stereo", "structured_light"):
        _, two, four = SENSORS[name].sigma(depth, facing).tolist()
        # With the squared depth, once the floor is small beside it.
        assert four / two == pytest.approx(4, rel=0.1)
    assert SENSORS["structured_light"].sigma(depth, facing)[2] == pytest.approx(0.023, rel=0.1)
    assert SENSORS["lidar"].sigma(depth, facing).max() == pytest.approx(0.012, rel=0.01)
    slanted = SENSORS["tof"].sigma(depth, torch.full((3,), 0.3))
    assert (slanted > 1.5 * SENSORS["tof"].sigma(depth, facing)).all()
    assert SENSORS["exact"].sigma(depth, facing).tolist() == [0, 0, 0]
    assert torch.isnan(SENSORS["tof"].sigma(torch.tensor([torch.nan]), torch.ones(1))).all()


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("depth_m", [1.0, 3.0])
def test_a_wall_is_measured_as_well_as_sigma_says(name: str, depth_m: float) -> None:
    found = measured_depth(before_a_wall(depth_m), name, rng())
    assert holes(found) < {"lidar": 0.5, "tof": 0.35}.get(name, 0.1)
    error = found[found.isfinite()] - depth_m
    sigma = float(SENSORS[name].sigma(torch.tensor(depth_m), torch.tensor(1.0)))
    # Steps of the disparity add their own.
    step = DEVICES[name].step * depth_m**2 / math.sqrt(12)
    assert float(error.std()) == pytest.approx(math.hypot(sigma, step), rel=0.2)
    assert abs(float(error.mean())) < 0.5 * sigma


def test_exact_is_exact() -> None:
    (view,) = walk(1)
    assert torch.equal(measured_depth(view, "exact", rng()), view.depth)


def test_disparity_has_steps() -> None:
    found = measured_depth(before_a_wall(3.0), "structured_light", rng())
    inverse = np.unique((1 / found[found.isfinite()]).numpy().round(5))
    gaps = np.diff(inverse)
    assert len(inverse) < 60
    assert gaps.min() == pytest.approx(DEVICES["structured_light"].step, rel=0.02)


@pytest.mark.parametrize(("name", "depth_m"), [("structured_light", 6.0), ("tof", 7.0), ("stereo", 0.2)])
def test_nothing_is_measured_out_of_range(name: str, depth_m: float) -> None:
    assert holes(measured_depth(before_a_wall(depth_m), name, rng())) == 1


def test_readings_fade_towards_the_end_of_the_range() -> None:
    near, far = (holes(measured_depth(before_a_wall(d), "structured_light", rng())) for d in (3.5, 4.6))
    assert near < 0.02
    assert 0.3 < far < 0.9


@pytest.mark.parametrize(
    ("name", "look"),
    [("tof", {"gray": 4, "texture": 0}), ("structured_light", {"gray": 255, "texture": 0}), ("stereo", {"texture": 0})],
)
def test_black_gloss_and_plain_walls_leave_holes(name: str, look: dict) -> None:
    usual, hard = (holes(measured_depth(before_a_wall(1.5, **each), name, rng())) for each in ({}, look))
    assert hard > usual + 0.3


def test_grazing_surfaces_are_lost() -> None:
    """A wall along the line of sight, 0.4 m beside it: the nearer to the middle of the picture, the more edge on."""
    view = before_a_wall(1.0, fov_deg=70)
    x = torch.arange(1, 81).flip(0) / view.camera.fx
    depth = torch.cat([0.4 / x, torch.full((80,), torch.nan)]).expand(SIZE).contiguous()
    found = measured_depth(dataclasses.replace(view, depth=depth), "structured_light", rng())
    assert holes(found[:, 60:70]) > 0.9
    assert holes(found[10:110, 5:35]) < 0.05


def test_what_the_other_eye_does_not_see_is_to_the_left_of_what_is_near() -> None:
    view = before_a_wall(3.0)
    depth = view.depth.clone()
    depth[:, 80:] = 1.0
    found = measured_depth(dataclasses.replace(view, depth=depth), "structured_light", rng())
    # Focal length and baseline over both depths: 0.07 * 160 * (1 - 1 / 3) pixels.
    assert found[:, 75:78].isnan().float().mean() > 0.95
    assert holes(found[:, 60:70]) < 0.1
    assert holes(found[:, 85:110]) < 0.1


@pytest.mark.parametrize("name", ["tof", "stereo"])
def test_readings_fly_between_two_surfaces_at_edges_alone(name: str) -> None:
    view = before_a_wall(3.0)
    depth = view.depth.clone()
    depth[:, 80:] = 1.5
    found = measured_depth(dataclasses.replace(view, depth=depth), name, rng())
    between = (found > 1.7) & (found < 2.7)
    assert int(between.sum()) > 30
    assert between.any(dim=0).nonzero().min() >= 74
    assert between.any(dim=0).nonzero().max() <= 86


def test_what_cannot_be_simulated() -> None:
    (view,) = walk(1)
    with pytest.raises(RecordingError, match="sensor = 'radar' is unknown: use exact, stereo, structured_light, tof"):
        measured_depth(view, "radar", rng())
    with pytest.raises(RecordingError, match="and the view has none"):
        measured_depth(dataclasses.replace(view, depth=None), "tof", rng())


def test_errors_of_poses_have_the_size_asked_for_and_change_slowly() -> None:
    true = torch.eye(4, dtype=torch.float64).expand(2000, 4, 4)
    found = perturbed_poses(true, translation_m=0.01, rotation_deg=0.5, rng=rng())
    assert float(found[:, :3, 3].square().sum(dim=1).mean().sqrt()) == pytest.approx(0.01, rel=0.15)
    angles = geodesic_distance(found, true, translation_weight=0.0)
    assert math.degrees(float(angles.square().mean().sqrt())) == pytest.approx(0.5, rel=0.15)
    steps = (found[1:, :3, 3] - found[:-1, :3, 3]).square().sum(dim=1).mean().sqrt()
    assert float(steps) < 0.002
    assert torch.equal(perturbed_poses(true, translation_m=0, rotation_deg=0, rng=rng()), true)


def test_exposure_and_balance_drift_and_white_is_cut_off() -> None:
    taken = CameraNoise(500, exposure_ev=0.3, balance=0.05, noise=0.0, rng=rng())
    gray = torch.full((4, 4, 3), 100, dtype=torch.uint8)
    for i in (0, 250, 499):
        found = taken.apply(gray, i).float().mean(dim=(0, 1))
        torch.testing.assert_close(found, torch.from_numpy(100 * taken.gains[i]).float(), rtol=0, atol=0.6)
    # Green has the exposure alone; twice the light is 2 ** (1 / 2.2) times the value.
    assert np.log2(taken.gains[:, 1]).std() == pytest.approx(0.3 / 2.2, rel=0.25)
    assert (taken.gains[:, 0] / taken.gains[:, 1]).std() == pytest.approx(0.05, rel=0.3)
    assert int(taken.apply(torch.full((4, 4, 3), 250, dtype=torch.uint8), int(taken.gains[:, 1].argmax())).max()) == 255


def test_pixels_are_noisy_bright_ones_more() -> None:
    taken = CameraNoise(1, exposure_ev=0, balance=0, noise=2.0, rng=rng())
    dark, bright = (taken.apply(torch.full((200, 200, 3), v, dtype=torch.uint8), 0).float().std() for v in (32, 128))
    assert float(bright) == pytest.approx(2.0, rel=0.1)
    assert float(dark) == pytest.approx(1.0, rel=0.15)


def test_turning_smears_the_picture_along_the_turn() -> None:
    image = torch.zeros(64, 96, 3, dtype=torch.uint8)
    image[32, 48] = 255
    poses = [look_at((0, 0, 0), (math.cos(a), math.sin(a), 0)) for a in (-0.2, 0.0, 0.2)]
    rotations = [pose[:3, :3].numpy() for pose in poses]
    found = motion_blur(image, CAMERA, rotations, 0.5)
    rows, columns = found.sum(dim=-1).nonzero().unbind(dim=1)
    # Light is gathered while the camera turns by half of the 0.2 radians between two frames.
    assert int(columns.max() - columns.min()) == pytest.approx(0.1 * CAMERA.fx, abs=2)
    assert abs(float(columns.double().mean()) - 48) < 1
    assert int(rows.max() - rows.min()) <= 2
    assert torch.equal(motion_blur(image, CAMERA, rotations, 0.0), image)
