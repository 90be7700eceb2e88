"""Which spheres are hidden by what is drawn already: a pyramid of the farthest depths (hierarchical z-buffer)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from vmem_ros.geometry import Camera
from vmem_ros.memory import zbuffer

#: Nothing nearer to the camera than this is drawn, in metres.
NEAR = 0.02
#: Pixels a side of the finest level.
TILE = 8
#: Share of a tile that must be covered to hide what is behind. The rest is mostly gaps between elements of one surface,
#: through which the next room should not be seen anyway.
COVERED = 0.75


class OcclusionPyramid:
    """The farthest seen depth around every square of 8, 16, 32, ... pixels; infinite while too little is covered.

    Around means in the square and its eight neighbours, so one look-up answers for everything that reaches no farther
    from its centre than the side of a square.

    :param buffer: [H * W], see :mod:`vmem_ros.memory.zbuffer`. Imagined elements hide nothing.
    """

    def __init__(self, buffer: Tensor, camera: Camera) -> None:
        depth = zbuffer.seen_depth_of(buffer).view(1, 1, *camera.size)
        seen = torch.isfinite(depth)
        share = avg_pool2d(seen.float(), TILE, ceil_mode=True, count_include_pad=False)
        farthest = max_pool2d(torch.where(seen, depth, 0.0), TILE, ceil_mode=True)
        level = torch.where(share >= COVERED, farthest, torch.inf)
        levels = [level]
        while max(level.shape[-2:]) > 1:
            level = max_pool2d(level, 2, ceil_mode=True)
            levels.append(level)
        device = buffer.device
        self._camera = camera
        self._farthest = torch.cat([max_pool2d(each, 3, stride=1, padding=1).flatten() for each in levels])
        columns = torch.tensor([each.shape[-1] for each in levels])
        sizes = torch.tensor([each.numel() for each in levels])
        self._columns, self._start = columns.to(device), (sizes.cumsum(0) - sizes).to(device)

    def hides(self, centre: Tensor, radius: Tensor) -> Tensor:
        """Return [n] bool: the sphere, in the camera frame, lies behind everything drawn in the squares around it.

        What of the sphere is outside the picture is hidden anyway.
        """
        camera, (x, y, z) = self._camera, centre.unbind(-1)
        nearest, z = z - radius, z.clamp(min=NEAR)
        x, y = x / z, y / z
        # Along either axis a sphere's picture ends at most radius / nearest * (1 + |tangent|) from its centre.
        reach = (1 + torch.maximum(x.abs(), y.abs())) * radius / nearest.clamp(min=NEAR)
        tiles = reach * (max(camera.fx, camera.fy) / TILE)
        level = torch.log2(tiles.clamp_(min=1)).ceil_().long().clamp_(max=len(self._start) - 1)
        column, row = (
            (tangent * (focal / TILE) + middle / TILE).clamp_(0, (side - 1) / TILE).long() >> level
            for tangent, focal, middle, side in (
                (x, camera.fx, camera.cx, camera.width),
                (y, camera.fy, camera.cy, camera.height),
            )
        )
        square = self._start.index_select(0, level) + row * self._columns.index_select(0, level) + column
        return (nearest > NEAR) & (nearest > self._farthest.index_select(0, square))
