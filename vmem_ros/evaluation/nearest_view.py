"""The baseline that invents nothing: each pose is answered by the nearest view that a camera took.

It agrees with itself exactly, and is wrong wherever the pose was not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.types import Target, View


def nearest_view(target: Target, observed: Sequence[View]) -> View:
    """Return the observed view whose pose is nearest to the target.

    :raises ValueError: nothing was observed.
    """
    return observed[nearest_pose(target, [view.T_world_camera for view in observed])]


def nearest_pose(target: Target, poses: Sequence[Tensor]) -> int:
    """Return which of some poses [4, 4] is nearest to the target.

    :raises ValueError: there are none.
    """
    if not poses:
        raise ValueError("the nearest view of none was asked for: pass the views that a camera took")
    # A metre away is about as bad as half a radian aside, in a room.
    distance = geodesic_distance(target.T_world_camera, torch.stack(list(poses)), translation_weight=0.5)
    return int(distance.argmin())
