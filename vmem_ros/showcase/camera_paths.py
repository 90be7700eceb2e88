"""Camera paths around one view of an unknown scene.

All paths are made in the optical frame of the start view (x right, y down, z forward), begin and end at it, and scale
with the distance of what it looks at, so that they fit a table top and a hall alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import as_pose, look_at

TrajectoryName = Literal["loop", "orbit", "out_and_back", "spin"]

_UP = (0.0, -1.0, 0.0)


def trajectory(name: TrajectoryName, T_world_camera: Tensor, *, distance_m: float, n: int) -> Tensor:
    """Return the poses [n, 4, 4] of a named path; the first and the last are the start pose.

    - ``loop``: a closed curve right, back, left and up, looking at what lies ``distance_m`` ahead.
    - ``orbit``: a swing of 25 degrees to either side around what lies ``distance_m`` ahead.
    - ``out_and_back``: forward and to the side, and back through the same poses.
    - ``spin``: one turn on the spot, around the camera's own vertical axis.

    :param T_world_camera: [4, 4], the start.
    :param distance_m: distance of the scene, see :func:`~vmem_ros.showcase.scenario.typical_depth`.
    """
    if name not in get_args(TrajectoryName):
        raise ValueError(f"trajectory must be one of {', '.join(get_args(TrajectoryName))}, got {name!r}")
    if n < 3:
        raise ValueError(f"a trajectory needs at least 3 poses to leave and return, got n={n}")
    if not (math.isfinite(distance_m) and distance_m > 0):
        raise ValueError(f"distance_m must be positive, got {distance_m}")
    local = _PATHS[name](np.linspace(0.0, 1.0, n), distance_m)
    path = as_pose(T_world_camera) @ local
    path[-1] = path[0] = as_pose(T_world_camera)
    return path


def _loop(s: np.ndarray, distance_m: float) -> Tensor:
    a = 2 * math.pi * s
    x, y, z = 0.22 * np.sin(a), -0.05 * (1 - np.cos(a)), -0.10 * (1 - np.cos(a))
    return _looking(np.stack([x, y, z], axis=-1) * distance_m, distance_m)


def _orbit(s: np.ndarray, distance_m: float) -> Tensor:
    a = math.radians(25) * np.sin(2 * math.pi * s)
    return _looking(np.stack([np.sin(a), 0 * a, 1 - np.cos(a)], axis=-1) * distance_m, distance_m)


def _out_and_back(s: np.ndarray, distance_m: float) -> Tensor:
    # The return leg is mirrored exactly: equal poses, not nearly equal ones.
    out = np.minimum(s, s[::-1]) * 2
    eyes = np.stack([0.12 * out, -0.03 * out, 0.28 * out], axis=-1) * distance_m
    return _looking(eyes, 2 * distance_m)


def _spin(s: np.ndarray, distance_m: float) -> Tensor:
    a = 2 * math.pi * s
    path = torch.eye(4, dtype=torch.float64).repeat(len(s), 1, 1)
    cos, sin = torch.from_numpy(np.cos(a)), torch.from_numpy(np.sin(a))
    path[:, 0, 0], path[:, 0, 2], path[:, 2, 0], path[:, 2, 2] = cos, sin, -sin, cos
    return path


def _looking(eyes: np.ndarray, distance_m: float) -> Tensor:
    return torch.stack([look_at(eye, (0.0, 0.0, distance_m), up=_UP) for eye in eyes])


_PATHS: dict[str, Callable[[np.ndarray, float], Tensor]] = {
    "loop": _loop,
    "orbit": _orbit,
    "out_and_back": _out_and_back,
    "spin": _spin,
}
