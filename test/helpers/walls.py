"""Two textured walls that meet in a step, rendered in closed form: enough texture for features to match."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.types import View

CAMERA = Camera.from_fov(320, 240, 70)
#: Looks at the step from 3 metres away.
START = look_at((0.0, 0.0, 1.0), (1.0, 0.0, 1.0))


def two_walls(T_world_camera: torch.Tensor, *, camera: Camera = CAMERA, seed: int = 0) -> View:
    """Return what a camera sees of walls at x = 3 and x = 4 that meet at y = 0, with exact depth."""
    generator = np.random.default_rng(seed)
    texture = cv2.resize(
        generator.integers(0, 256, (160, 160, 3), np.uint8), (1280, 1280), interpolation=cv2.INTER_CUBIC
    )
    directions = pixel_rays(camera, dtype=torch.float64) @ T_world_camera[:3, :3].mT
    origin = T_world_camera[:3, 3]
    depth = (3.0 - origin[0]) / directions[..., 0]
    behind = (4.0 - origin[0]) / directions[..., 0]
    depth = torch.where(origin[1] + depth * directions[..., 1] > 0, depth, behind)
    points = origin + depth[..., None] * directions
    u = ((points[..., 1] + 8) * 80).long().clamp(0, 1279)
    v = ((points[..., 2] + 8) * 80).long().clamp(0, 1279)
    return View(torch.from_numpy(texture)[v, u], camera, T_world_camera, depth.float())
