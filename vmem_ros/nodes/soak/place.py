"""Where a soak takes place: a few rooms that are walked through again and again."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.geometry import Camera

ROOMS = 3
LENS = Camera.from_fov(128, 96, 75)
#: Parameters of the node: small pictures, so that minutes hold many calls, and a memory that is full after a few.
PARAMETERS = {
    "camera.width": LENS.width,
    "camera.height": LENS.height,
    "camera.fov_deg": 75.0,
    "preview.scale": 1.0,
    "queue.max_length": 16,
    "memory.max_views": 120,
    "seed.pose_source": "topic",
    "seed.min_translation_m": 0.0,
}
BUILDING = Building(rooms=ROOMS)


def pose_from(rng: random.Random) -> Tensor:
    """Return ``T_world_camera`` near a place of the walk, where no view was taken."""
    T = BUILDING.ask(LENS, rng.randrange(ROOMS * VIEWS_PER_ROOM)).T_world_camera.clone()
    T[:2, 3] += torch.tensor([rng.uniform(-0.2, 0.2) for _ in range(2)], dtype=torch.float64)
    return T
