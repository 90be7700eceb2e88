"""A walk through a procedural house as a hand-held RGB-D camera of some kind would have recorded it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vmem_ros.geometry import Camera
from vmem_ros.recordings.camera_noise import CameraNoise, motion_blur
from vmem_ros.recordings.pose_noise import perturbed_poses
from vmem_ros.recordings.sensor_noise import measured_depth
from vmem_ros.scenes.house import HOUSE_FOV_DEG, House
from vmem_ros.types import Target, View

_ASPECT = 3 / 2
_HEIGHT_M, _PITCH_RAD = 1.5, -0.15
# Whoever holds a camera sways.
_SWAY_M, _SWAY_DEG, _SWAY_FRAMES = 0.03, 2.0, 5.0
_START_NS, _PERIOD_NS = 1_000_000_000, 100_000_000


@dataclass(frozen=True)
class HouseWalk:
    """What is recorded, and how badly.

    :param house: seed of the house.
    :param frames: of the recording, ten a second.
    :param step_m: between frames; turning counts as moving.
    :param sensor: one of :data:`~vmem_ros.recordings.sensor_noise.DEVICES`.
    :param translation_m: root mean square error of the positions.
    :param rotation_deg: root mean square error of the rotations.
    :param exposure_ev: standard deviation of the exposure in stops.
    :param balance: standard deviation of the gains of red and blue, relative.
    :param noise: standard deviation of a mid-gray pixel in levels of 255.
    :param shutter: share of the time between frames for which light is gathered; 0: nothing blurs.
    :param seed: of the way and of all errors.
    """

    house: int
    frames: int = 200
    width: int = 540
    fov_deg: float = HOUSE_FOV_DEG
    step_m: float = 0.1
    sensor: str = "structured_light"
    translation_m: float = 0.01
    rotation_deg: float = 0.5
    exposure_ev: float = 0.15
    balance: float = 0.03
    noise: float = 2.0
    shutter: float = 0.1
    seed: int = 0


def record_house(walk: HouseWalk) -> Iterator[View]:
    """Yield the views of a walk with the poses that a tracker would give; they are a little off, the pictures are not.

    :raises RecordingError: no such sensor.
    :raises ValueError: fewer than two frames, or a seed or step that cannot be.
    """
    house, rng = House(walk.house), np.random.default_rng(walk.seed)
    path = house.random_walk(walk.frames, walk.seed, step=walk.step_m, height=_HEIGHT_M, pitch=_PITCH_RAD)
    true = perturbed_poses(
        path, translation_m=_SWAY_M, rotation_deg=_SWAY_DEG, correlation_frames=_SWAY_FRAMES, rng=rng
    )
    tracked = perturbed_poses(true, translation_m=walk.translation_m, rotation_deg=walk.rotation_deg, rng=rng)
    taken = CameraNoise(walk.frames, exposure_ev=walk.exposure_ev, balance=walk.balance, noise=walk.noise, rng=rng)
    camera = Camera.from_fov(walk.width, round(walk.width / _ASPECT), walk.fov_deg)
    for i in range(walk.frames):
        view = house.view(Target(camera, true[i], _START_NS + i * _PERIOD_NS), supersample=2)
        around = [true[min(max(j, 0), walk.frames - 1), :3, :3].numpy() for j in (i - 1, i, i + 1)]
        image = taken.apply(motion_blur(view.image, camera, around, walk.shutter), i)
        yield dataclasses.replace(
            view, image=image, depth=measured_depth(view, walk.sensor, rng), T_world_camera=tracked[i], confidence=None
        )
