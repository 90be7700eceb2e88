"""A disk in a picture is an ellipse: which pixels it covers and how far away each is, row by row.

Seen from the camera, the disk of radius r around c with normal n covers the rays ``(x, y, 1)`` that meet its plane
within r of c. With ``d = (x - cx / cz, y - cy / cz, 0)`` the offset from the centre is exactly
``((n . c) d - c (n . d)) / (n . ray)``: no difference of two far points, which would cost the digits that small disks
need. Its length against r is a quadratic inequality in d, so each row of pixels has one span, found in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.memory import zbuffer
from vmem_ros.memory.occlusion import NEAR
from vmem_ros.memory.ragged import items_of

# Disks drawn at once: the temporaries of their spans and fragments stay in the cache of a CPU core.
_AT_ONCE = {"cpu": 4096, "cuda": 1 << 20}


@dataclass(frozen=True, eq=False)
class Disks:
    """Disks in the camera frame.

    :param tag: [n] int64, see :func:`vmem_ros.memory.zbuffer.tags`.
    :param centre: [n, 3], ``normal`` [n, 3] towards the camera, ``radius`` [n] in metres.
    """

    tag: Tensor
    centre: Tensor
    normal: Tensor
    radius: Tensor


def draw_disks(disks: Disks, camera: Camera, buffer: Tensor) -> None:
    """Lower ``buffer`` [H * W] by the pixels of the disks. Disks that the camera's own plane cuts are not drawn."""
    at_once = _AT_ONCE.get(buffer.device.type, _AT_ONCE["cuda"])
    columns = (column.split(at_once) for column in vars(disks).values())
    for part in zip(*columns, strict=True):
        _draw(Disks(*part), camera, buffer)


def _draw(disks: Disks, camera: Camera, buffer: Tensor) -> None:
    first, rows = _rows(disks, camera)
    disk, step = items_of(rows)
    row = first.index_select(0, disk) + step
    x0, b, d, q2, q1, q0, y0, inverse, inverse_x, inverse_y = (t.index_select(0, disk) for t in _coefficients(disks))
    dy = (row.float() + (0.5 - camera.cy)) / camera.fy - y0
    middle = x0 - torch.addcmul(d, b, dy)
    squared = torch.addcmul(q0, torch.addcmul(q1, q2, dy), dy)
    half = squared.clamp(min=0).sqrt_()
    # First and last pixel centre inside.
    left = torch.ceil((middle - half) * camera.fx + (camera.cx - 0.5)).clamp_(min=0)
    right = torch.floor((middle + half) * camera.fx + (camera.cx - 0.5)).clamp_(max=camera.width - 1)
    # A row that the ellipse misses has no real root.
    span, step = items_of(torch.where(squared > 0, right - left + 1, 0.0).clamp_(min=0).long())
    # 1 / z is linear in the picture: (n . ray) / (n . c).
    dx = (left + (0.5 - camera.cx)) / camera.fx - x0
    inverse = torch.addcmul(torch.addcmul(inverse, inverse_y, dy), inverse_x, dx)
    slope = inverse_x / camera.fx
    depth = 1 / torch.addcmul(inverse.index_select(0, span), slope.index_select(0, span), step.float())
    pixel = (row * camera.width + left.long()).index_select(0, span) + step
    tag = disks.tag.index_select(0, disk).index_select(0, span)
    zbuffer.draw(buffer, pixel, depth, tag)


def _rows(disks: Disks, camera: Camera) -> tuple[Tensor, Tensor]:
    """Return the first row [n] that each disk can cover, and how many [n].

    A disk of radius r reaches ``r * sqrt(1 - n_i^2)`` along axis i. So ``y / z`` differs from the centre's by at most
    ``(reach_y + |y / z| * reach_z) / (z - reach_z)``.
    """
    y, z = disks.centre[:, 1], disks.centre[:, 2]
    reach = disks.radius[:, None] * (1 - disks.normal[:, 1:].square()).clamp_(min=0).sqrt_()
    nearest = z - reach[:, 1]
    half = camera.fy * (reach[:, 0] + (y / z).abs() * reach[:, 1]) / nearest.clamp(min=NEAR)
    middle = camera.fy * (y / z) + (camera.cy - 0.5)
    first = torch.ceil(middle - half).clamp_(min=0)
    last = torch.floor(middle + half).clamp_(max=camera.height - 1)
    return first.long(), torch.where(nearest > NEAR, last - first + 1, 0.0).clamp_(min=0).long()


def _coefficients(disks: Disks) -> tuple[Tensor, ...]:
    """Return per disk [n] what its rows need.

    At ``dy`` above the centre the span is ``x0 - (b dy + d) +- sqrt(q2 dy^2 + q1 dy + q0)``, and at (dx, dy) the
    inverse depth is ``inverse + inverse_x dx + inverse_y dy``.
    """
    nx, ny, nz = disks.normal.unbind(1)
    cx, cy, cz = disks.centre.unbind(1)
    plane = nx * cx + ny * cy + nz * cz
    squared = disks.radius.square()
    beyond = cx * cx + cy * cy + cz * cz - squared
    # |plane d - c (n . d)|^2 <= r^2 (plane / cz + n . d)^2, divided by the coefficient of dx^2.
    a = plane * (plane - 2 * nx * cx) + beyond * nx * nx
    b = (beyond * nx * ny - plane * (nx * cy + ny * cx)) / a
    c = (plane * (plane - 2 * ny * cy) + beyond * ny * ny) / a
    tilt = -squared * (plane / cz) / a
    d, e, f = tilt * nx, 2 * tilt * ny, tilt * (plane / cz)
    quadratic = (b * b - c, 2 * b * d - e, d * d - f)
    return cx / cz, b, d, *quadratic, cy / cz, 1 / cz, nx / plane, ny / plane
