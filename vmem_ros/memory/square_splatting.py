"""Points into a picture: what every pixel shows, and how far away it is. Deterministic on every device.

A point is drawn as a square wider than the space to its neighbours: surfaces are closed. That makes every pixel see
several points of one surface. A first pass finds the nearest depth of each pixel. Of the points that lie at that depth,
a second pass chooses the one whose centre is nearest to the pixel's, and blends the colours of all, the nearer ones
more. So squares close gaps, and neither blur what is dense nor show themselves where it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, transform
from vmem_ros.memory import zbuffer
from vmem_ros.memory.bounds import BlockBounds, members_of
from vmem_ros.memory.culling import drawn_radius, front_to_back
from vmem_ros.memory.occlusion import NEAR
from vmem_ros.memory.ragged import items_of

# Points drawn at once: the temporaries of their fragments stay in the cache of a CPU core.
_AT_ONCE = {"cpu": 8192, "cuda": 1 << 20}
# Points of one surface differ in depth within a square by at most so many of its half sides: surfaces seen at less than
# 18 degrees are cut into steps.
_STEEPEST = 3.0


# Weights of colours are whole numbers up to this, so that sums do not depend on their order.
_MOST_WEIGHT = 255


class Points(Protocol):
    """N points that can be drawn; what it returns is valid until they change."""

    def __len__(self) -> int:
        """Return N."""
        ...

    @property
    def position(self) -> Tensor:
        """[N, 3] float32."""
        ...

    @property
    def color(self) -> Tensor:
        """[N, 3] uint8."""
        ...

    @property
    def blocks(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions [B, BLOCK, 3], sizes and whether a camera saw them [B, BLOCK], in blocks that lie together."""
        ...

    @property
    def bounds(self) -> BlockBounds:
        """Bounds of the blocks."""
        ...


class Splat(NamedTuple):
    """What a camera sees of the points.

    :param ids: [H, W] int64 of the point, or -1.
    :param depth: [H, W] float32 its z-depth, NaN where there is none.
    :param image: [H, W, 3] uint8, zero where there is none.
    """

    ids: Tensor
    depth: Tensor
    image: Tensor


class _Squares(NamedTuple):
    """Points in a picture.

    :param tag: [n] int64, see :func:`vmem_ros.memory.zbuffer.tags`.
    :param centre: [n, 3] in the camera frame; ``half`` [n] half the side of the square, in metres.
    """

    tag: Tensor
    centre: Tensor
    half: Tensor


class _Fragments(NamedTuple):
    """Pixels that squares cover.

    :param pixel: [f] and square [f], int64.
    :param squared: [f] squared distance of the pixel's centre from the square's, in pixels.
    """

    pixel: Tensor
    square: Tensor
    squared: Tensor

    def select(self, index: Tensor) -> _Fragments:
        """Return the fragments numbered ``index`` [n] int64."""
        return _Fragments(*(column.index_select(0, index) for column in self))

    def of(self, column: Tensor) -> Tensor:
        """Return what each fragment has of a column [n] of the squares: [f]."""
        return column.index_select(0, self.square)


def splat(store: Points, camera: Camera, T_points_camera: Tensor, *, scale: float) -> Splat:
    """Render points with occlusion.

    :param T_points_camera: [4, 4] camera pose in the frame of the points.
    :param scale: half the side of the drawn square over the size of the point.
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
    nearest, image = _at_front(drawn, store.color, camera, buffer)
    ids = zbuffer.ids_of(nearest)
    depth = torch.full((len(ids),), torch.nan, device=device)
    shown = (ids >= 0).nonzero().squeeze(1)
    points = store.position.index_select(0, ids.index_select(0, shown))
    depth[shown] = transform(T_camera_points, points)[:, 2]
    return Splat(ids.view(camera.size), depth.view(camera.size), image.view(*camera.size, 3))


def _at_front(
    drawn: list[tuple[_Squares, _Fragments]], color: Tensor, camera: Camera, buffer: Tensor
) -> tuple[Tensor, Tensor]:
    """Return of the points at each pixel's depth a buffer [H * W] of the nearest ones, and the image [H * W, 3] of all.

    :param color: [N, 3] uint8 of all points.
    """
    front, only_seen = zbuffer.depth_of(buffer, empty=torch.inf), buffer < 0
    nearest = zbuffer.empty_buffer(len(buffer), buffer.device)
    # Two numbers of 32 bits each: red and green, blue and the weights.
    sums = torch.zeros(2, len(buffer), dtype=torch.int64, device=buffer.device)
    for squares, fragments in drawn:
        at_front = fragments.of(squares.centre[:, 2] - _STEEPEST * squares.half) <= front[fragments.pixel]
        at_front &= fragments.of(squares.tag < 0) == only_seen[fragments.pixel]
        shown = fragments.select(at_front.nonzero().squeeze(1))
        zbuffer.draw(nearest, shown.pixel, shown.squared, shown.of(squares.tag))
        weight = _weights(squares, shown, camera)
        red, green, blue = color.index_select(0, squares.tag & 0xFFFFFFFF).long().unbind(1)
        for total, packed in zip(sums, ((red << 32) | green, (blue << 32) | 1), strict=True):
            total.index_add_(0, shown.pixel, shown.of(packed) * weight)
    red_green, blue_weight = sums
    weight = (blue_weight & 0xFFFFFFFF).clamp(min=1)
    channels = (red_green >> 32, red_green & 0xFFFFFFFF, blue_weight >> 32)
    image = torch.stack([(channel + weight // 2) // weight for channel in channels], dim=-1).to(torch.uint8)
    return nearest, image


def _weights(squares: _Squares, fragments: _Fragments, camera: Camera) -> Tensor:
    """Return how much each fragment counts in the colour of its pixel [f] int64: hardly anything at the edge."""
    half = squares.half / squares.centre[:, 2] * max(camera.fx, camera.fy)
    share = 1 - fragments.squared / fragments.of(half.clamp(min=1).square())
    return (share.clamp_(min=0).square() * (_MOST_WEIGHT - 1)).long() + 1


def _squares(store: Points, blocks: Tensor, camera: Camera, T_camera_points: Tensor, scale: float) -> _Squares:
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
