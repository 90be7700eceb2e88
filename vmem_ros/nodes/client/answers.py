"""What the camera answers a planner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vmem_ros.geometry import Camera


@dataclass(frozen=True)
class Feedback:
    """Progress of a request: working on view i of n, step j of m (from 1); ``eta_s`` is NaN if unknown."""

    view: int
    views: int
    step: int
    steps: int
    eta_s: float


@dataclass(frozen=True, eq=False)
class Rendering:
    """What memory alone shows at a pose.

    :param image: [H, W, 3] uint8 RGB, ``depth`` and ``confidence`` [H, W] float32; ``None`` if only figures were asked.
    :param seen: share of pixels that memory shows.
    :param nearest_depth_m: smallest remembered depth, NaN if none.
    """

    image: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    confidence: NDArray[np.float32] | None
    camera: Camera
    seen: float
    mean_confidence: float
    nearest_depth_m: float


@dataclass(frozen=True)
class SavedWorld:
    """Where a world was written or read, and how many views it holds."""

    path: str
    stored_views: int
