"""The baseline that invents nothing: each pose is answered by the nearest view that a camera took.

It agrees with itself exactly, and is wrong wherever the pose was not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vmem_ros.geometry import geodesic_distance
from vmem_ros.types import Target, View


def nearest_view(target: Target, observed: Sequence[View]) -> View:
    """Return the observed view whose pose is nearest to the target.

    :raises ValueError: nothing was observed.
    """
    if not observed:
        raise ValueError("the nearest view of none was asked for: pass the views that a camera took")
    poses = torch.stack([view.T_world_camera for view in observed])
    # A metre away is about as bad as half a radian aside, in a room.
    distance = geodesic_distance(target.T_world_camera, poses, translation_weight=0.5)
    return observed[int(distance.argmin())]
