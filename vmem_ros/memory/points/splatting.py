"""Points into a picture: which voxel every pixel shows, and how far away it is. Deterministic on every device.

A point is drawn as a square wider than its voxel: surfaces are closed. That makes every pixel see several points
of one surface. A first pass finds the nearest depth of each pixel; of the points that lie at that depth, a second pass
chooses the one whose centre is nearest to the pixel's. So squares close gaps without blurring what is dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, transform
from vmem_ros.memory import zbuffer
from vmem_ros.memory.bounds import members_of
from vmem_ros.memory.culling import drawn_radius, front_to_back
from vmem_ros.memory.occlusion import NEAR
from vmem_ros.memory.points.voxels import VoxelStore
from vmem_ros.memory.ragged import items_of

# Points drawn at once: the temporaries of their fragments stay in the cache of a CPU core.
_AT_ONCE = {"cpu": 8192, "cuda": 1 << 20}
# Points of one surface differ in depth within a square by at most so many of its half sides: surfaces seen at less than
# 18 degrees are cut into steps.
_STEEPEST = 3.0


class Splat(NamedTuple):
    """What a camera sees of the points.

    :param ids: [H, W] int64 of the voxel, or -1.
    :param depth: [H, W] float32 z-depth of its point, NaN where there is none.
    """

    ids: Tensor
    depth: Tensor


class _Squares(NamedTuple):
    """Points in a picture.

    :param tag: [n] int64, see :func:`vmem_ros.memory.zbuffer.tags`.
    :param centre: [n, 3] in the camera frame; ``half`` [n] half the side of the square, in metres.
    """

    tag: Tensor
    centre: Tensor
    half: Tensor


class _Fragments(NamedTuple):
    """Pixels that squares cover: [f] pixel, [f] square, and [f] squared distance of the centres, in pixels."""

    pixel: Tensor
    square: Tensor
    squared: Tensor

    def of(self, column: Tensor) -> Tensor:
        """Return what each fragment has of a column [n] of the squares: [f]."""
        return column.index_select(0, self.square)


def splat(store: VoxelStore, camera: Camera, T_points_camera: Tensor, *, scale: float) -> Splat:
    """Render points with occlusion.

    :param T_points_camera: [4, 4] camera pose in the frame of the points.
    :param scale: half the side of the drawn square over the size of the voxel.
    :raises InvalidCameraError: the camera has skew.
    """
    device = store.position.device
    buffer = zbuffer.empty_buffer(camera.height * camera.width, device)
    T_camera_points = invert(T_points_camera)
    drawn = []
    for part, occlusion in front_to_back(store.bounds, camera, T_camera_points, scale, buffer):
        squares = _squares(store, part, camera, T_camera_points, scale)
        if occlusion is not None:
            kept = (~occlusion.hides(squares.centre, squares.half)).nonzero().squeeze(1)
            squares = _Squares(*(column.index_select(0, kept) for column in squares))
        for some in _in_parts(squares):
            fragments = _fragments(some, camera)
            zbuffer.draw(buffer, fragments.pixel, fragments.of(some.centre[:, 2]), fragments.of(some.tag))
            drawn.append((some, fragments))
    nearest = _nearest(drawn, buffer)
    ids = zbuffer.ids_of(nearest)
    depth = torch.full((len(ids),), torch.nan, device=device)
    shown = (ids >= 0).nonzero().squeeze(1)
    points = store.position.index_select(0, ids.index_select(0, shown))
    depth[shown] = transform(T_camera_points, points)[:, 2]
    return Splat(ids.view(camera.size), depth.view(camera.size))


def _nearest(drawn: list[tuple[_Squares, _Fragments]], buffer: Tensor) -> Tensor:
    """Return a buffer [H * W] of the points whose centres are nearest to each pixel's, of those at its depth."""
    front, only_seen = zbuffer.depth_of(buffer, empty=torch.inf), buffer < 0
    nearest = zbuffer.empty_buffer(len(buffer), buffer.device)
    for squares, fragments in drawn:
        tag = fragments.of(squares.tag)
        at_front = fragments.of(squares.centre[:, 2] - _STEEPEST * squares.half) <= front[fragments.pixel]
        at_front &= (tag < 0) == only_seen[fragments.pixel]
        kept = at_front.nonzero().squeeze(1)
        zbuffer.draw(nearest, *(c.index_select(0, kept) for c in (fragments.pixel, fragments.squared, tag)))
    return nearest


def _squares(store: VoxelStore, blocks: Tensor, camera: Camera, T_camera_points: Tensor, scale: float) -> _Squares:
    """Return the squares of the points of some blocks that lie before the camera."""
    position, size, observed = (column.index_select(0, blocks) for column in store.blocks)
    number = members_of(blocks)
    centre = transform(T_camera_points, position).view(-1, 3)
    kept = ((centre[:, 2] > NEAR) & (number < len(store))).nonzero().squeeze(1)
    centre = centre.index_select(0, kept)
    tag = zbuffer.tags(number.index_select(0, kept), observed.flatten().index_select(0, kept))
    half = drawn_radius(size.flatten().index_select(0, kept), centre[:, 2], camera, scale)
    return _Squares(tag, centre, half)


def _in_parts(squares: _Squares) -> Iterator[_Squares]:
    at_once = _AT_ONCE.get(squares.tag.device.type, _AT_ONCE["cuda"])
    for part in zip(*(column.split(at_once) for column in squares), strict=True):
        yield _Squares(*part)


def _fragments(squares: _Squares, camera: Camera) -> _Fragments:
    """Return the pixels whose centres lie in the squares."""
    x, y, z = squares.centre.unbind(1)
    # In pixel indices: centres of pixels are whole numbers.
    u, v = x / z * camera.fx + (camera.cx - 0.5), y / z * camera.fy + (camera.cy - 0.5)
    half_u, half_v = squares.half / z * camera.fx, squares.half / z * camera.fy
    left, top = torch.ceil(u - half_u).clamp_(min=0), torch.ceil(v - half_v).clamp_(min=0)
    columns = (torch.floor(u + half_u).clamp_(max=camera.width - 1) - left + 1).clamp_(min=0).long()
    rows = (torch.floor(v + half_v).clamp_(max=camera.height - 1) - top + 1).clamp_(min=0).long()
    square, step = items_of(rows * columns)
    width = columns.index_select(0, square)
    row = torch.div(step, width, rounding_mode="floor")
    column = step - row * width
    du, dv = (left - u).index_select(0, square) + column, (top - v).index_select(0, square) + row
    first = top.long() * camera.width + left.long()
    pixel = first.index_select(0, square) + row * camera.width + column
    return _Fragments(pixel, square, torch.addcmul(du * du, dv, dv))
