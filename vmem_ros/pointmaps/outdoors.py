"""Depth of a picture of the open air, for a network that knows rooms only: ground, what stands on it, sky.

The network is asked for relief alone. How far away things are follows from where they are in the picture: the ground
goes from the photographer's feet to the horizon, what reaches above it stands far off, and sky is behind everything.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.geometry import pixel_rays
from vmem_ros.types import View

#: Height of a camera that somebody holds, in metres.
EYE_HEIGHT_M = 1.6
#: Towards the horizon the ground rises into a backdrop at this distance, for nothing can be told of what is farther,
#: and seen at a grazing angle it would have gaps; sky is behind all of it.
FAR_M, SKY_M = 15.0, 400.0
# The network may move a pixel by so much (log depth) against the others in its row.
_RELIEF = 0.7


def shows_sky(view: View) -> bool:
    """Return whether the depth of a view is one that :func:`outdoor_depth` gave, with sky."""
    return view.depth is not None and bool((view.depth > 0.99 * SKY_M).any())


def outdoor_depth(view: View, sky: Tensor, log_depth: Tensor) -> Tensor:
    """Return z-depth [H, W] in metres of a picture of the open air.

    The ground is level, in a world whose z axis points up. Where the picture shows sky below the horizon that the pose
    says, the horizon is lower: photographs are seldom held level.

    :param sky: [H, W] bool.
    :param log_depth: [H, W] of the network, of which only differences within each row are used.
    """
    up = view.T_world_camera[2, :3].to(log_depth)
    rise = pixel_rays(view.camera, device=log_depth.device).to(log_depth) @ up
    lowest = rise.new_zeros(())
    if bool(sky.any()):
        # Not the very lowest pixel. (torch.quantile refuses large pictures.)
        lowest = rise[sky].kthvalue(1 + int(sky.sum()) // 20).values.clamp(max=0)
    # Inverse depth of the plane below the camera; zero at the horizon.
    plane = (lowest - rise).clamp(min=0) / EYE_HEIGHT_M
    ground = torch.hypot(plane, torch.full_like(plane, 1 / FAR_M))
    relief = log_depth - torch.where(sky, torch.nan, log_depth).nanmedian(dim=1, keepdim=True).values
    relief = torch.nan_to_num(relief, nan=0.0).clamp(-_RELIEF, _RELIEF)
    return torch.where(sky, SKY_M, relief.exp() / ground)
