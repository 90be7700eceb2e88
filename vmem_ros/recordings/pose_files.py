"""Poses as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vmem_ros.errors import InvalidPoseError, RecordingError
from vmem_ros.geometry import as_pose

# Written with few digits, rotations are this far from exact ones; farther, they are something else.
_ROUNDED = 1e-2


def read_pose(path: Path) -> Tensor | None:
    """Return the camera-to-world matrix [4, 4] of a text file, ``None`` where its numbers are not finite.

    That is how tracking says that it was lost.

    :raises RecordingError: it is missing, or is no pose.
    """
    try:
        T = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read the pose {path}: {error}; it should be a 4 x 4 matrix") from error
    if T.shape != (4, 4):
        raise RecordingError(f"{path} has numbers of shape {list(T.shape)}: a pose is a 4 x 4 matrix, camera to world")
    if not np.isfinite(T).all():
        return None
    U, scale, Vh = np.linalg.svd(T[:3, :3])
    if np.abs(scale - 1).max() < _ROUNDED:
        T[:3, :3] = U @ Vh
    try:
        return as_pose(torch.from_numpy(T))
    except InvalidPoseError as error:
        raise RecordingError(f"{path}: {error}") from error
