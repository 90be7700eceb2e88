"""Spatia's arithmetic on plain clouds: voxel means, a picture of disks, and the points that two cameras share.

The memory does the same for each commit, in whole numbers and without touching what is not in view. Here a cloud is
taken as it is. With ``convention="published"`` results are those of the published code, its errors included: the offset
of the principal point has the wrong sign, pictures are enlarged by s / (s - 1) with s the shorter side, and pixels are
found by cutting off fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert
from vmem_ros.memory.points.published import published_centres, published_places
from vmem_ros.memory.ragged import items_of

#: Where points fall in pictures: ``pixel``, as cameras of this package say; ``published``, as in the published code.
Convention = Literal["pixel", "published"]

# Depths of one pixel that differ by no more are equally near, in metres.
_EQUAL = 1e-6


def voxel_means(points: Tensor, colors: Tensor, voxel: float, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean point [M, 3] and colour [M, 3] of each occupied voxel, in the order of the voxels' places.

    :param points: [N, 3] in metres, with ``colors`` [N, 3] floating point.
    :param voxel: side of a voxel in metres.
    :param origin: [3] a corner of the grid. The published code takes the lowest coordinates of the cloud less half a
        voxel, so that one outlier moves the grid; one for the whole world does not.
    """
    cell = torch.floor((points - origin) / voxel).long()
    _, owner, counts = cell.unique(dim=0, return_inverse=True, return_counts=True)
    sums = [torch.zeros(len(counts), 3).to(each).index_add_(0, owner, each) for each in (points, colors)]
    return sums[0] / counts[:, None], sums[1] / counts[:, None]


def render_points(
    points: Tensor,
    colors: Tensor,
    cameras: Sequence[Camera],
    T_world_camera: Tensor,
    *,
    radius: float = 0.01,
    points_per_pixel: int = 5,
    convention: Convention = "pixel",
) -> tuple[Tensor, Tensor]:
    """Return pictures of a cloud [V, H, W, 3] on black, and how much of each pixel it covers [V, H, W], 0 to 1.

    A point is a disk of one size in the picture. Of the disks that cover a pixel's centre the nearest few count, each
    with opacity 1 - d^2 / r^2 at distance d, from front to back.

    :param points: [N, 3] in the world, with ``colors`` [N, 3] floating point.
    :param cameras: V cameras of one size, at ``T_world_camera`` [V, 4, 4].
    :param radius: of the disks, in halves of the shorter side of the picture.
    """
    rendered = [
        _render(points, colors, camera, T, radius, points_per_pixel, _checked(convention))
        for camera, T in zip(cameras, T_world_camera, strict=True)
    ]
    image, coverage = (torch.stack(each) for each in zip(*rendered, strict=True))
    return image, coverage


def shared_points(
    points: Tensor,
    camera: Camera,
    T_world_targets: Tensor,
    T_world_views: Tensor,
    *,
    convention: Convention = "pixel",
) -> Tensor:
    """Return how many points [T, V] int64 are front-most both at each target and in each view.

    A point is front-most if none of its pixel is nearer.

    :param points: [N, 3] in the world.
    :param camera: of targets [T, 4, 4] and views [V, 4, 4].
    """
    targets, views = (
        torch.stack([_is_frontmost(points, camera, T, _checked(convention)) for T in poses]).double()
        for poses in (T_world_targets, T_world_views)
    )
    # Sums of ones are exact in float64.
    return (targets @ views.mT).long()


def _checked(convention: Convention) -> Convention:
    if convention not in get_args(Convention):
        raise ValueError(f"convention must be one of {', '.join(get_args(Convention))}, got {convention!r}")
    return convention


def _in_camera(points: Tensor, T_world_camera: Tensor) -> Tensor:
    """Return points [N, 3] in the camera frame, float64: disks may be smaller than a pixel."""
    T = invert(T_world_camera.double()).to(points.device)
    return points.double() @ T[:3, :3].mT + T[:3, 3]


def _render(
    points: Tensor, colors: Tensor, camera: Camera, T: Tensor, radius: float, most: int, convention: Convention
) -> tuple[Tensor, Tensor]:
    """Return one picture [H, W, 3] and its coverage [H, W]."""
    if convention == "pixel":
        x, y, z = _in_camera(points, T).unbind(1)
        u, v = camera.fx * x / z + camera.cx - 0.5, camera.fy * y / z + camera.cy - 0.5
        columns, rows = (torch.arange(side).to(z) for side in (camera.width, camera.height))
    else:
        u, v, z = published_places(points, camera, T)
        columns, rows = (centres.to(z) for centres in published_centres(camera))
    before = (z > 0).nonzero().squeeze(1)
    u, v, z, shade = u[before], v[before], z[before], colors[before].double()
    reach = radius * min(camera.size) / 2
    pixel, point, squared = _covered(u, v, reach, columns, rows)
    # Front to back within each pixel; of equally near points the first comes first.
    order = torch.argsort(z[point], stable=True)
    order = order[torch.argsort(pixel[order], stable=True)]
    pixel, point, squared = pixel[order], point[order], squared[order]
    _, counts = pixel.unique_consecutive(return_counts=True)
    _, rank = items_of(counts)
    opacity = 1 - squared / reach**2
    image = torch.zeros(camera.height * camera.width, 3).to(z)
    through = torch.ones(camera.height * camera.width).to(z)
    for layer in range(most):
        here = (rank == layer).nonzero().squeeze(1)
        seen = through[pixel[here]] * opacity[here]
        image[pixel[here]] += seen[:, None] * shade[point[here]]
        through[pixel[here]] *= 1 - opacity[here]
    return image.view(*camera.size, 3).to(colors), (1 - through).view(camera.size).to(colors)


def _covered(u: Tensor, v: Tensor, reach: float, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pixels [f] whose centres lie in the disks, the disk of each, and the squared distance in pixels.

    :param columns: [W] where the pixels' centres are, and ``rows`` [H]: whole numbers, but for rounding.
    """
    wide, axes = reach + 1e-3, ((u, len(columns)), (v, len(rows)))
    # The bounds keep what is far outside from overflowing; it covers nothing.
    left, top = (torch.ceil(middle - wide).clamp(0, side).long() for middle, side in axes)
    right, bottom = (torch.floor(middle + wide).clamp(-1, side - 1).long() for middle, side in axes)
    across, down = (right - left + 1).clamp(min=0), (bottom - top + 1).clamp(min=0)
    point, step = items_of(across * down)
    column, row = left[point] + step % across[point], top[point] + step // across[point]
    squared = (columns[column] - u[point]).square() + (rows[row] - v[point]).square()
    inside = (squared < reach**2).nonzero().squeeze(1)
    return (row * len(columns) + column)[inside], point[inside], squared[inside]


def _is_frontmost(points: Tensor, camera: Camera, T_world_camera: Tensor, convention: Convention) -> Tensor:
    """Return which points [N] are the nearest of their pixels, bool."""
    x, y, z = _in_camera(points, T_world_camera).unbind(1)
    u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
    whole = torch.floor if convention == "pixel" else torch.trunc
    column, row = whole(u), whole(v)
    inside = (z > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    index = inside.nonzero().squeeze(1)
    pixel = row[index].long() * camera.width + column[index].long()
    nearest = torch.full((camera.height * camera.width,), torch.inf).to(z)
    nearest.scatter_reduce_(0, pixel, z[index], "amin")
    inside[index] = z[index] <= nearest[pixel] + _EQUAL
    return inside
