"""A few views as flat arrays, so that every pixel of a target can ask another view in the same few operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert
from vmem_ros.types import View


class Look(NamedTuple):
    """Where n points appear, each in a view of its own.

    :param u: [n] float32 pixel coordinates, centres at +0.5; with ``v`` 0 where the point is outside the picture.
    :param ratio: [n] float32: depth that the view has there over depth of the point; NaN outside or where it has none.
    """

    u: Tensor
    v: Tensor
    ratio: Tensor


class ViewStack:
    """K views with depth, and how pixels of a target camera with a depth get into each of them.

    :param T_world_target: [4, 4] pose of the target camera.
    """

    def __init__(self, views: Sequence[View], target: Camera, T_world_target: Tensor, device: torch.device) -> None:
        # One homogeneous product takes pixels to pixels: K_view [R K_target^-1 | t], float64 until here.
        T_view_target = torch.stack([invert(view.T_world_camera) @ T_world_target for view in views])
        R, t = T_view_target[:, :3, :3], T_view_target[:, :3, 3:]
        K = torch.stack([view.camera.K for view in views])
        P = K @ torch.cat([R @ torch.linalg.inv(target.K), t], dim=-1)
        size = torch.tensor([view.camera.size for view in views])
        pixels = size.prod(dim=1)
        self._projection = P.permute(1, 2, 0).reshape(12, -1).float().contiguous().to(device)
        #: [K] how far each view's centre lies behind the target camera, along its axis: -z of it.
        self.setback = (R[:, :, 2:] * t).sum(dim=(1, 2)).float().to(device)
        self._height, self._width = size.T.contiguous().to(device)
        self._start = (pixels.cumsum(0) - pixels).to(device)
        self._depth = torch.cat([_depth(view) for view in views])
        #: [K] bool: a real camera took the view.
        self.observed = torch.tensor([view.source == "observed" for view in views], device=device)

    def __len__(self) -> int:
        return len(self._start)

    def look(self, number: Tensor, pixels: tuple[Tensor, Tensor], z: Tensor) -> Look:
        """Return where points appear in the views that they ask.

        :param number: [n] int64 view of each point.
        :param pixels: where the points appear in the target, u and v [n] float32, centres at +0.5.
        :param z: [n] float32 their depths there.
        """
        x, y = (pixel * z for pixel in pixels)
        rows = self._projection.index_select(1, number)
        u, v, depth = (
            torch.addcmul(torch.addcmul(torch.addcmul(rows[4 * i + 3], rows[4 * i], x), rows[4 * i + 1], y),
                          rows[4 * i + 2], z)
            for i in range(3)
        )  # fmt: skip
        width, height = self._width.index_select(0, number), self._height.index_select(0, number)
        u, v = u / depth, v / depth
        inside = (depth > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        u, v = torch.where(inside, u, 0.0), torch.where(inside, v, 0.0)
        pixel = self._start.index_select(0, number) + v.long() * width + u.long()
        ratio = self._depth.index_select(0, pixel) / depth
        return Look(u, v, torch.where(inside, ratio, torch.nan))

    def colors(self, images: Sequence[Tensor], number: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return colours [n, 3] float32 in 0..255, bilinear between the pixels of each point's own view.

        :param images: [H, W, 3] uint8 of each view.
        """
        flat = torch.cat([image.view(-1, 3) for image in images])
        x, y = u - 0.5, v - 0.5
        left, top = x.floor(), y.floor()
        width, height = self._width.index_select(0, number), self._height.index_select(0, number)
        start = self._start.index_select(0, number)
        columns = (left.long().clamp_(min=0), torch.minimum(left.long() + 1, width - 1))
        rows = (start + top.long().clamp_(min=0) * width, start + torch.minimum(top.long() + 1, height - 1) * width)
        across, down = (x - left)[:, None], (y - top)[:, None]
        corners = [[flat.index_select(0, row + column).float() for column in columns] for row in rows]
        above, below = (torch.lerp(a, b, across) for a, b in corners)
        return torch.lerp(above, below, down)

    def nearest(self, maps: Sequence[Tensor], number: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return the values [n] that maps [H, W], one a view, have at the pixels that hold the coordinates."""
        pixel = self._start.index_select(0, number) + v.long() * self._width.index_select(0, number) + u.long()
        return torch.cat([values.flatten() for values in maps]).index_select(0, pixel)


def _depth(view: View) -> Tensor:
    assert view.depth is not None, "only views with depth can be asked"
    return view.depth.flatten()
