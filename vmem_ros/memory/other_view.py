"""A stored view as pixels of a target camera meet it: where a point appears in it, and how well it could see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vmem_ros.geometry import Camera
from vmem_ros.types import View

#: Neighbouring pixels of one surface differ less in depth, relative.
ONE_SURFACE = 0.03


class TargetPoints(NamedTuple):
    """Points on n pixels of a target camera.

    :param u: [n] float32 pixel coordinates, centres at +0.5; with ``v``.
    :param z: [n] float32 z-depth in metres.
    """

    u: Tensor
    v: Tensor
    z: Tensor

    @classmethod
    def of(cls, depth: Tensor, pixels: Tensor) -> TargetPoints:
        """Return the points of a depth map [H, W] at ``pixels`` [n] int64, numbered row by row."""
        width = depth.shape[1]
        v = torch.div(pixels, width, rounding_mode="floor")
        return cls(pixels - v * width + 0.5, v + 0.5, depth.flatten().index_select(0, pixels))

    def select(self, index: Tensor) -> TargetPoints:
        """Return the points numbered ``index`` [m] int64."""
        return TargetPoints(*(column.index_select(0, index) for column in self))


class Look(NamedTuple):
    """How n points appear in a view.

    :param u: [n] float32 pixel coordinates, centres at +0.5; with ``v`` 0 where the point is outside the picture.
    :param inside: [n] bool: it is in the picture.
    :param depth: [n] float32 depth that the view has there; NaN outside, and where it has none.
    :param ratio: [n] float32 that depth over the depth of the point: 1 where the view saw the point, more where it
        looked past it.
    """

    u: Tensor
    v: Tensor
    inside: Tensor
    depth: Tensor
    ratio: Tensor


class OtherView:
    """A view with depth, and how pixels of a target camera get into it.

    :param T_world_target: [4, 4] pose of the target camera.
    :param gain: [3] by which its colours are multiplied.
    :param weight: of its colours against those of others.
    """

    def __init__(
        self,
        view: View,
        target: Camera,
        T_world_target: Tensor,
        *,
        gain: Tensor | None = None,
        weight: float = 1.0,
    ) -> None:
        projection, centre = _projections([view], target, T_world_target)
        self._set(view, target, projection[0], centre[0], gain, weight)

    @classmethod
    def several(
        cls,
        views: Sequence[View],
        target: Camera,
        T_world_target: Tensor,
        *,
        gains: Sequence[Tensor] | None = None,
        weights: Sequence[float] | None = None,
    ) -> list[OtherView]:
        """Return several views for one target, at less cost than one by one.

        :param gains: of each view, with ``weights``: see the class.
        """
        if not views:
            return []
        places = zip(*_projections(views, target, T_world_target), strict=True)
        out = [object.__new__(cls) for _ in views]
        for number, (other, view, (projection, centre)) in enumerate(zip(out, views, places, strict=True)):
            gain = None if gains is None else gains[number]
            weight = 1.0 if weights is None else weights[number]
            other._set(view, target, projection, centre, gain, weight)
        return out

    def _set(
        self,
        view: View,
        target: Camera,
        projection: list[list[float]],
        centre: list[float],
        gain: Tensor | None,
        weight: float,
    ) -> None:
        assert view.depth is not None, "only views with depth can be asked"
        self.view = view
        #: One homogeneous product takes pixels to pixels, [3][4]: K_view [R K_target^-1 | t], float64 until here.
        self.projection = projection
        #: Centre of the view in the frame of the target camera.
        self.centre = centre
        self._depth = view.depth.flatten()
        self._target = target
        self.weight = weight
        self.gain: list[float] = [1.0, 1.0, 1.0] if gain is None else gain.tolist()

    def look(self, points: TargetPoints, *, fine: bool = False) -> Look:
        """Return how points of the target appear in the view.

        :param fine: interpolate depth between pixels of one surface; otherwise it is that of the nearest pixel.
        """
        u, v, z = points
        x, y = u * z, v * z
        (a, b, c) = (x * row[0] + y * row[1] + z * row[2] + row[3] for row in self.projection)
        u, v = a / c, b / c
        camera = self.view.camera
        inside = (c > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        u, v = torch.where(inside, u, 0.0), torch.where(inside, v, 0.0)
        depth = self._depth.index_select(0, v.long() * camera.width + u.long())
        if fine:
            between = self._sampled(self._depth.view(1, *camera.size), u, v)[0]
            depth = torch.where((between / depth - 1).abs() <= ONE_SURFACE, between, depth)
        depth = torch.where(inside, depth, torch.nan)
        return Look(u, v, inside, depth, depth / c)

    def along(self, points: TargetPoints, ratio: Tensor) -> Tensor:
        """Return the depth [n] in the target of what the view saw at the points instead of them.

        :param ratio: :attr:`Look.ratio`. The surface lies on the ray from the view's centre C through the point X, at
            ``C + ratio (X - C)``; this is its z.
        """
        return ratio * points.z + (1 - ratio) * self.centre[2]

    def angle_and_distance(self, points: TargetPoints) -> tuple[Tensor, Tensor]:
        """Return how differently view and target see the points.

        :return: [n] squared angle between the two rays in radians (of small angles), and [n] squared distance from the
            view over that from the target.
        """
        camera, (cx, cy, cz) = self._target, self.centre
        rx, ry = (points.u - camera.cx) / camera.fx, (points.v - camera.cy) / camera.fy
        own = points.z.square() * (1 + rx.square() + ry.square())
        across = points.z * (rx * cx + ry * cy + cz)
        other = (own - 2 * across + (cx * cx + cy * cy + cz * cz)).clamp(min=1e-12)
        cosine = (own - across) * torch.rsqrt(own * other)
        return 2 * (1 - cosine).clamp(min=0), other / own

    def colors(self, look: Look) -> Tensor:
        """Return colours [n, 3] float32, 0..255 times the gain, bilinear between pixels."""
        colors = self._sampled(self.view.image.permute(2, 0, 1).float(), look.u, look.v).T
        return colors * torch.tensor(self.gain, device=colors.device)

    def nearest_colors(self, look: Look) -> Tensor:
        """Return colours [n, 3] float32 in 0..255 of the nearest pixels, as they are."""
        pixel = look.v.long() * self.view.camera.width + look.u.long()
        return self.view.image.flatten(0, 1).index_select(0, pixel).float()

    def _sampled(self, maps: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return the values [C, n] of maps [C, H, W], bilinear between pixels."""
        camera = self.view.camera
        place = torch.stack([u * (2 / camera.width) - 1, v * (2 / camera.height) - 1], dim=-1)
        return grid_sample(maps[None], place[None, None], padding_mode="border", align_corners=False)[0, :, 0]

    def provenance(self, look: Look) -> Tensor:
        """Return [n] float32, 1 where a real camera saw the pixel."""
        confidence = self.view.confidence
        if confidence is None:
            return look.inside.float()
        return confidence.flatten().index_select(0, look.v.long() * self.view.camera.width + look.u.long())


def _projections(
    views: Sequence[View], target: Camera, T_world_target: Tensor
) -> tuple[list[list[list[float]]], list[list[float]]]:
    """Return :attr:`OtherView.projection` and :attr:`OtherView.centre` of each view."""
    # For matrices so small, NumPy has the answer before torch has begun.
    T_view_target = np.linalg.inv(np.stack([view.T_world_camera.numpy() for view in views])) @ T_world_target.numpy()
    R, t = T_view_target[:, :3, :3], T_view_target[:, :3, 3:]
    K = np.stack([view.camera.K.numpy() for view in views])
    projection: list[list[list[float]]] = (
        K @ np.concatenate([R @ np.linalg.inv(target.K.numpy()), t], axis=-1)
    ).tolist()
    centre: list[list[float]] = (-R.transpose(0, 2, 1) @ t).squeeze(-1).tolist()
    return projection, centre
