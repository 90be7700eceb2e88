"""Poses as a tracker that is a little off gives them."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vmem_ros.recordings.smooth_noise import smooth_noise

#: Errors of tracking last for about so many frames.
CORRELATION_FRAMES = 8.0


def perturbed_poses(
    T_world_camera: Tensor,
    *,
    translation_m: float,
    rotation_deg: float,
    rng: np.random.Generator,
    correlation_frames: float = CORRELATION_FRAMES,
) -> Tensor:
    """Return poses [N, 4, 4] with an error that changes smoothly along the way.

    :param T_world_camera: [N, 4, 4], in the order of time.
    :param translation_m: root mean square length of the error of the position.
    :param rotation_deg: root mean square angle of the error of the rotation.
    :param correlation_frames: over so many frames errors are alike.
    """
    T = T_world_camera.to(torch.float64).clone()
    moved, turned = smooth_noise((2, len(T), 3), over=correlation_frames, axes=(1,), rng=rng) / math.sqrt(3)
    T[:, :3, 3] += torch.from_numpy(moved * translation_m)
    T[:, :3, :3] = T[:, :3, :3] @ torch.from_numpy(
        Rotation.from_rotvec(turned * math.radians(rotation_deg)).as_matrix()
    )
    return T
