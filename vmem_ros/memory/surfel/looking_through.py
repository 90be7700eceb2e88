"""Which surfels a camera looked through: something lies behind them that it would not have seen, were they there."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, max_pool2d

from vmem_ros.geometry import Camera, transform
from vmem_ros.kernels import usable
from vmem_ros.memory.bounds import members_of
from vmem_ros.memory.culling import blocks_in_view
from vmem_ros.memory.occlusion import NEAR
from vmem_ros.memory.surfel import compiled_looking_through as compiled
from vmem_ros.memory.surfel.surfels import Blocks

# Longer side of the picture in which depths are compared.
_SIDE = 160
# What was seen lies at least so much farther, relative: less is noise of depth sensors.
_MARGIN = 0.08


def looked_through(
    blocks: Blocks, n_surfels: int, camera: Camera, T_camera_surfels: Tensor, depth: Tensor, *, hidden: Tensor
) -> Tensor:
    """Return the surfels that lie clearly before what a camera sees: [k] int64, ascending.

    Poses are off by a little, and so are edges: all around its centre the camera has to see far enough. Where it knows
    no depth it proves nothing; where it looked at nothing (+Inf) it looked through everything.

    :param T_camera_surfels: [4, 4] takes surfels into the optical frame.
    :param depth: [H, W] z-depth of the camera.
    :param hidden: [N] bool: surfels that are not asked about.
    """
    small = _small(camera)
    if library := usable(blocks.surfels.position, depth):
        return compiled.looked_through(
            library, blocks, n_surfels, small, T_camera_surfels, depth, margin=_MARGIN, near=NEAR, hidden=hidden
        )
    nearest = -torch.where(depth.isnan(), 0.0, depth)[None]
    around = -max_pool2d(adaptive_max_pool2d(nearest, small.size), 3, stride=1, padding=1)[0]
    chosen, _, _ = blocks_in_view(blocks.bounds, small, T_camera_surfels, scale=0.0)
    number = members_of(chosen.sort().values)
    number = number[number < n_surfels]
    number = number[~hidden[number]]
    x, y, z = transform(T_camera_surfels, blocks.surfels.position.view(-1, 3).index_select(0, number)).unbind(-1)
    u, v = small.fx * (x / z) + small.cx, small.fy * (y / z) + small.cy
    inside = (z > NEAR) & (u >= 0) & (u < small.width) & (v >= 0) & (v < small.height)
    number, u, v, z = (each[inside] for each in (number, u, v, z))
    return number[z < (1 - _MARGIN) * around[v.long(), u.long()]]


@functools.lru_cache(maxsize=16)
def _small(camera: Camera) -> Camera:
    """Return the camera in which depths are compared. It has no skew, for surfels are seen without."""
    shrunk = min(1.0, _SIDE / max(camera.size))
    small = camera.resized(max(1, round(camera.width * shrunk)), max(1, round(camera.height * shrunk)))
    return small.without_skew()
