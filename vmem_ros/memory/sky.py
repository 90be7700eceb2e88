"""Where a camera looked through to infinity, nothing is: its reading refutes what was imagined there.

What another camera has seen there stays: readings of depth cameras fail, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry.depth_maps import count_depth
from vmem_ros.memory.other_view import OtherView, TargetPoints
from vmem_ros.types import Target, View

#: So many views, those with the nearest poses, are asked what they saw nothing of.
ASKED = 8


def sees_nothing(view: View) -> bool:
    """Return whether a real camera looked at nothing somewhere in the view: depth +Inf."""
    return view.source == "observed" and view.depth is not None and count_depth(view.depth).infinite > 0


def looked_through(views: Sequence[View], target: Target, depth: Tensor, asked: Tensor) -> Tensor:
    """Return [H, W] bool: points that one of the views looked through to infinity.

    :param views: with depth, on the device of ``depth``.
    :param target: whose pixels the points belong to.
    :param depth: [H, W] z-depth of the points there.
    :param asked: [H, W] bool: which points are meant.
    """
    through = torch.zeros_like(asked)
    pixel = asked.flatten().nonzero().squeeze(1)
    if not len(pixel) or not views:
        return through
    points = TargetPoints.of(depth, pixel)
    for view in views:
        look = OtherView(view, target.camera, target.T_world_camera).look(points)
        through.view(-1)[pixel[torch.isposinf(look.ratio)]] = True
    return through
