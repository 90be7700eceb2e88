"""What is seen of a world, as NumPy arrays: the observation of the environment, and the answer of worlds on Ray."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera, quaternion_xyzw
from vmem_ros.types import MAX_DEPTH_M

#: Arrays by name; see :func:`observation_space`.
Observation = dict[str, Any]


def observation_space(camera: Camera) -> gymnasium.spaces.Dict:
    """Return the space of observations.

    - ``image``: [H, W, 3] uint8 RGB.
    - ``depth``: [H, W] float32 z-depth in metres; 0 unknown, :data:`~vmem_ros.types.MAX_DEPTH_M` where the camera
      looked and saw nothing.
    - ``confidence``: [H, W] float32: 0 invented now, 0.5 remembered but imagined, 1 remembered and once seen by a real
      camera.
    - ``pose``: [7] float64, of the camera in the world: x, y, z in metres and a unit quaternion x, y, z, w, in the
      optical convention (x right, y down, z forward).
    """
    box = gymnasium.spaces.Box
    return gymnasium.spaces.Dict(
        {
            "image": box(0, 255, (*camera.size, 3), np.uint8),
            "depth": box(0, MAX_DEPTH_M, camera.size, np.float32),
            "confidence": box(0, 1, camera.size, np.float32),
            "pose": pose_space(),
        }
    )


def pose_space() -> gymnasium.spaces.Box:
    """Return the space of poses [7]: a position within the depth that there is, and a quaternion x, y, z, w."""
    reach = np.array([MAX_DEPTH_M] * 3 + [1.0] * 4)
    return gymnasium.spaces.Box(-reach, reach, dtype=np.float64)


def observe_pose(T_world_camera: Tensor) -> NDArray[np.float64]:
    """Return a pose [4, 4] as [7] float64; see :func:`observation_space`."""
    return np.concatenate([T_world_camera[:3, 3].numpy(), quaternion_xyzw(T_world_camera)])


def as_observation(image: Tensor, depth: Tensor | None, confidence: Tensor, T_world_camera: Tensor) -> Observation:
    """Return what is seen at a pose; see :func:`observation_space`.

    :param image: [H, W, 3] uint8.
    :param depth: [H, W] float32 in metres, NaN unknown, +Inf looked and saw nothing. ``None``: all of it is unknown.
    :param confidence: [H, W] float32.
    """
    if depth is None:
        depth = torch.full_like(confidence, torch.nan)
    known = torch.nan_to_num(depth, nan=0.0, posinf=MAX_DEPTH_M).clamp(0, MAX_DEPTH_M)
    return {
        "image": image.cpu().numpy().copy(),
        "depth": known.cpu().numpy(),
        "confidence": confidence.to(torch.float32).cpu().numpy().copy(),
        "pose": observe_pose(T_world_camera),
    }
