"""Which way is up in a recording, and the rotation that puts it on z."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.errors import RecordingError
from vmem_ros.geometry.posed_points import upright_rotation

#: The axes that may point up, and their directions.
AXES: dict[str, tuple[float, float, float]] = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "+z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}

# Of the score below: 1 for the up of level cameras, 0.5 of cameras that look down by 60 degrees.
_CLEAR, _AHEAD = 0.35, 0.25


def rotation_to_z_up(up: str) -> Tensor:
    """Return [4, 4] float64, the turn that takes an axis of :data:`AXES` to +z.

    :raises RecordingError: no such axis.
    """
    if up not in AXES:
        raise RecordingError(f"up = {up!r} is no axis: use {', '.join(AXES)}")
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = upright_rotation(AXES[up])
    return T


def up_of_cameras(T_world_camera: Sequence[Tensor]) -> str | None:
    """Return the axis that is up for cameras that people and robots carry, or ``None`` where that is not clear.

    Their pictures are upright and their horizons level: towards the true axis points the cameras' own up, and never
    their right. Cameras that look down at a table tell as much if they go round it; those that look down at 45 degrees
    into one direction do not.

    :param T_world_camera: [4, 4] each.
    """
    R = torch.stack(list(T_world_camera))[:, :3, :3]
    axes = torch.tensor(list(AXES.values()), dtype=R.dtype)
    upright = (-R[:, :, 1] @ axes.T).mean(dim=0)
    tilt = (R[:, :, 0] @ axes.T).abs().mean(dim=0)
    score = upright - tilt
    best, second = score.topk(2).values.tolist()
    return list(AXES)[int(score.argmax())] if best > _CLEAR and best - second > _AHEAD else None
