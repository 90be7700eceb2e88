"""Headings for a path of viewpoints: look where there is most to see."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from vmem_ros.geometry import look_at

_DIRECTIONS, _STEP_M, _REACH_M = 72, 0.1, 6.0
_SMOOTHING_VIEWS, _SMOOTHING_DEG = 1.5, 20.0
# The mean of two openings is the wall between them, unless the larger one outweighs the other by far.
_POWER = 10


def face_open_space(
    path: Tensor, is_open: Callable[[NDArray[np.float64]], NDArray[np.bool_]], *, pitch: float
) -> Tensor:
    """Return a closed path through the same places whose cameras see rooms, not walls.

    The heading is the mean of all directions, weighted with a high power of how far one can go around there, smoothed
    along the path. The path starts, and ends, where the view reaches farthest.

    :param path: [n, 4, 4] in a world with z up; the last pose is the first.
    :param is_open: tells of points [N, 2] whether the floor there is free.
    :param pitch: slope of the view, positive looks up.
    """
    position = path[:-1, :3, 3].numpy()
    angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    reach = np.arange(_STEP_M, _REACH_M, _STEP_M)[:, None]
    points = position[:, None, None, :2] + reach * direction[:, None]
    is_free = is_open(points.reshape(-1, 2)).reshape(points.shape[:-1])
    # The way is free up to the first obstacle.
    distance = np.cumprod(is_free, axis=-1).sum(axis=-1) * _STEP_M
    # What a camera sees is as wide as its field of view: a room ahead counts for more than a gap between two walls.
    view = gaussian_filter1d(distance, _SMOOTHING_DEG / 360 * _DIRECTIONS, axis=1, mode="wrap")
    pull = _unit((view[..., None] ** _POWER * direction).sum(axis=1))
    heading = _unit(gaussian_filter1d(pull, _SMOOTHING_VIEWS, axis=0, mode="wrap"))
    ahead = np.append(heading, np.full((len(heading), 1), pitch), axis=1)
    out = torch.stack([look_at(eye, eye + forward) for eye, forward in zip(position, ahead, strict=True)])
    nearest = (heading @ direction.T).argmax(axis=1)
    widest = int(view[np.arange(len(view)), nearest].argmax())
    out = out.roll(-widest, dims=0)
    return torch.cat([out, out[:1]])


def turn_about_vertical(T_world_camera: Tensor, angle: float) -> Tensor:
    """Return poses [..., 4, 4] turned on the spot by an angle in radians, counterclockwise from above (z is up)."""
    R = torch.eye(3, dtype=torch.float64)
    R[0, 0] = R[1, 1] = math.cos(angle)
    R[1, 0], R[0, 1] = math.sin(angle), -math.sin(angle)
    out = T_world_camera.clone()
    out[..., :3, :3] = R @ T_world_camera[..., :3, :3]
    return out


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
