"""Latents with places into the latent grid of a camera: of each cell the nearest one. Deterministic on every device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry.lifting import Geometry, Lifted, cells_of, check_geometry
from vmem_ros.geometry.poses import invert

# What is seen is on a surface that a picture shows, up to so much of its depth: cells are coarse.
_TOLERANCE = 0.05


class Warped(NamedTuple):
    """What a camera sees of latents.

    :param features: [C, h, w], zero where there is none.
    :param mask: [h, w] bool: a latent is there.
    :param source: [h, w] int64: which one, its row in :class:`~.lifting.Lifted`; -1 where there is none.
    :param depth: [h, w] its z-depth, infinite where there is none.
    """

    features: Tensor
    mask: Tensor
    source: Tensor
    depth: Tensor


def warp(
    lifted: Lifted, K: Tensor, T_world_camera: Tensor, size: tuple[int, int], geometry: Geometry = "paper"
) -> Warped:
    """Return the latents that a camera sees, each in the cell that its point falls into, the nearest of each cell.

    ``paper``: float64, a cell is where its point lies in, and of equally near points the first wins. ``released``, as
    the published code on a CPU: float32, and a cell is a point's nearest corner; of equally near points the last wins.

    :param K: [3, 3] intrinsics of the grid (:func:`~.lifting.grid_intrinsics`), cell centres at +0.5.
    :param T_world_camera: [4, 4] camera-to-world, optical axes.
    :param size: (h, w) of the grid.
    :raises ValueError: an unknown geometry.
    """
    check_geometry(geometry)
    released = geometry == "released"
    dtype = torch.float32 if released else torch.float64
    height, width = size
    device = lifted.points.device
    K = K.to(device, dtype)
    T = (torch.linalg.inv(T_world_camera.to(dtype)) if released else invert(T_world_camera.double())).to(device)
    number = lifted.mask.nonzero().squeeze(1)
    points = lifted.points.index_select(0, number).to(dtype) @ T[:3, :3].T + T[:3, 3]
    x, y, z = points.unbind(1)
    before = z > 0
    z = torch.where(before, z, 1.0)
    whole = torch.round if released else torch.floor
    column, row = whole(x / z * K[0, 0] + K[0, 2]), whole(y / z * K[1, 1] + K[1, 2])
    inside = (before & (column >= 0) & (column < width) & (row >= 0) & (row < height)).nonzero().squeeze(1)
    number, z = number.index_select(0, inside), z.index_select(0, inside)
    cell = row.index_select(0, inside).long() * width + column.index_select(0, inside).long()
    if released:
        number, z, cell = number.flip(0), z.flip(0), cell.flip(0)
    # Ranks from near to far are distinct, so their minimum has one owner.
    order = torch.argsort(z, stable=True)
    none = len(order)
    rank = torch.full((height * width,), none, dtype=torch.int64, device=device)
    rank.scatter_reduce_(0, cell.index_select(0, order), torch.arange(none, device=device), "amin")
    seen = (rank < none).nonzero().squeeze(1)
    winner = order.index_select(0, rank.index_select(0, seen))
    source = torch.full((height * width,), -1, dtype=torch.int64, device=device)
    source[seen] = number.index_select(0, winner)
    depth = torch.full((height * width,), torch.inf, dtype=dtype, device=device)
    depth[seen] = z.index_select(0, winner)
    features = lifted.features.new_zeros(height * width, lifted.features.shape[1])
    features[seen] = lifted.features.index_select(0, source.index_select(0, seen))
    return Warped(features.T.reshape(-1, height, width), *(e.view(size) for e in (source >= 0, source, depth)))


def hidden_cells(z: Tensor, depth: Tensor, observed: Tensor) -> Tensor:
    """Return [h, w] bool: what lies at depth ``z`` [h, w] is behind all that is shown in its cell, or in front of it
    where a camera saw that nothing is.

    :param depth: [H, W] of the picture, NaN where nothing is known; ``observed`` [H, W] bool: a camera saw it.
    """
    cell = cells_of(*depth.shape, *z.shape)[0].to(depth.device)

    def of_each(values: Tensor, start: float, reduce: str) -> Tensor:
        out = torch.full((z.numel(),), start, device=z.device)
        return out.scatter_reduce_(0, cell, values.flatten(), reduce).view(z.shape)

    known = torch.isfinite(depth)
    # Where a pixel of the cell shows nothing, what is there may be anywhere.
    farthest = of_each(torch.where(known, depth, torch.inf), 0.0, "amax")
    nearest = of_each(torch.where(known & observed, depth, 0.0), torch.inf, "amin")
    return (z > (1 + _TOLERANCE) * farthest) | (z < (1 - _TOLERANCE) * nearest)
