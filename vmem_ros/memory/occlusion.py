"""Which spheres are hidden by what is drawn already: a pyramid of the farthest depths (hierarchical z-buffer)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from vmem_ros.geometry import Camera
from vmem_ros.memory import zbuffer

#: Nothing nearer to the camera than this is drawn, in metres.
NEAR = 0.02
# Pixels a side of the finest level.
_TILE = 8
# Share of a tile that must be covered to hide what is behind. The rest is mostly gaps between surfels of one surface,
# through which the next room should not be seen anyway.
_COVERED = 0.75


class OcclusionPyramid:
    """The farthest seen depth in every square of 8, 16, 32, ... pixels; infinite while too little of it is covered.

    :param buffer: [H * W], see :mod:`vmem_ros.memory.zbuffer`. Imagined surfels hide nothing.
    """

    def __init__(self, buffer: Tensor, camera: Camera) -> None:
        depth = zbuffer.seen_depth_of(buffer).view(1, 1, *camera.size)
        seen = torch.isfinite(depth)
        share = avg_pool2d(seen.float(), _TILE, ceil_mode=True, count_include_pad=False)
        farthest = max_pool2d(torch.where(seen, depth, 0.0), _TILE, ceil_mode=True)
        level = torch.where(share >= _COVERED, farthest, torch.inf)
        levels = [level]
        while max(level.shape[-2:]) > 1:
            level = max_pool2d(level, 2, ceil_mode=True)
            levels.append(level)
        device = buffer.device
        self._camera = camera
        self._farthest = torch.cat([each.flatten() for each in levels])
        self._rows = torch.tensor([each.shape[-2] for each in levels], device=device)
        self._columns = torch.tensor([each.shape[-1] for each in levels], device=device)
        sizes = self._rows * self._columns
        self._start = sizes.cumsum(0) - sizes

    def hides(self, centre: Tensor, radius: Tensor) -> Tensor:
        """Return [n] bool: the sphere, in the camera frame, lies behind everything drawn in the square around it.

        A sphere's picture is covered by at most 2 x 2 squares of the level whose squares are as wide as the picture.
        """
        x, y, z = centre.unbind(-1)
        nearest = z - radius
        behind_camera = nearest <= NEAR
        safe = nearest.clamp(min=NEAR)
        spans = []
        for focal, middle, ratio, count in (
            (self._camera.fx, self._camera.cx, x / z, self._columns[0]),
            (self._camera.fy, self._camera.cy, y / z, self._rows[0]),
        ):
            half = focal * radius * (1 + ratio.abs()) / safe
            at = focal * ratio + middle
            first, last = (((at + side * half) / _TILE).floor() for side in (-1, 1))
            spans.append([edge.clamp(min=torch.zeros_like(count), max=count - 1).long() for edge in (first, last)])
        (left, right), (top, bottom) = spans
        width = torch.maximum(right - left, bottom - top) + 1
        level = torch.ceil(torch.log2(width.float())).long().clamp(max=len(self._start) - 1)
        farthest = torch.zeros_like(z)
        for row in (top >> level, bottom >> level):
            for column in (left >> level, right >> level):
                square = self._start[level] + row * self._columns[level] + column
                farthest = torch.maximum(farthest, self._farthest[square])
        return ~behind_camera & (nearest > farthest)
