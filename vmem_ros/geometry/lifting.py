"""From the latents of a view to points in the world: every cell of the latent grid becomes one point that carries it.

A cell is many pixels wide, so it matters where its point lies. ``geometry="paper"`` sends the ray through the middle of
the cell and takes the known depth nearest to it. ``geometry="released"`` is, bit for bit, what the code published with
the paper does (Mirage, arXiv 2606.09828): the ray goes through the corner of the cell, half a cell beside its depth;
unknown depth is 0 and is mixed into its neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import interpolate

#: Where cells lie and which one a pixel shows: as the paper says, or as its code does.
Geometry = Literal["paper", "released"]
#: The depth of a cell: the known one ``nearest`` to its middle, or that of the four pixels around it, ``bilinear``.
DepthSampling = Literal["nearest", "bilinear"]


class Lifted(NamedTuple):
    """Latents with places; concatenate several for a cloud of many views.

    :param points: [N, 3] in the world, metres, float64 (``released``: float32); of no meaning where ``mask`` is false.
    :param features: [N, C], row by row of the latent grid.
    :param mask: [N] bool: the cell has a place.
    """

    points: Tensor
    features: Tensor
    mask: Tensor


def lift(
    latents: Tensor,
    depth: Tensor,
    K: Tensor,
    T_world_camera: Tensor,
    mask: Tensor | None = None,
    geometry: Geometry = "paper",
    *,
    sampling: DepthSampling | None = None,
) -> Lifted:
    """Return the latents of a view as points in the world.

    :param latents: [C, h, w].
    :param depth: [H, W] z-depth in metres; what is not positive and finite is unknown, or sky, and is not lifted.
    :param K: [3, 3] intrinsics for H x W pixels whose centres lie at +0.5.
    :param T_world_camera: [4, 4] camera-to-world, optical axes (x right, y down, z forward).
    :param mask: [H, W] bool, true where what is seen is to be left out, such as what moves. The pixel in the upper left
        corner of a cell decides for it (see :func:`masked_cells` for a stricter choice).
    :param sampling: how ``paper`` finds the depth of a cell, by default ``nearest``; ``released`` is ``bilinear``.
    :raises ValueError: shapes that do not fit, or an unknown geometry.
    """
    _check(latents, depth, mask, geometry, sampling)
    height, width = latents.shape[1:]
    released = geometry == "released"
    dtype = torch.float32 if released else torch.float64
    K = grid_intrinsics(K, depth.shape[1], depth.shape[0], width, height, dtype=dtype).to(depth.device)
    known = (depth > 0) & (depth < torch.inf)
    z = torch.where(known, depth, 0.0)
    if released or sampling == "bilinear":
        z = interpolate(z[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        found = z > 0
    else:
        pixel = nearest_pixels(known, height, width)
        found = pixel >= 0
        z = torch.where(found, z.flatten()[pixel.clamp(min=0)], 0.0)
    z = z.to(dtype)
    offset = 0.0 if released else 0.5
    u = torch.arange(width, dtype=dtype, device=depth.device) + offset
    v = (torch.arange(height, dtype=dtype, device=depth.device) + offset)[:, None]
    x, y = u - K[0, 2], v - K[1, 2]
    # The order of operations decides the last bit.
    x, y = (x * z / K[0, 0], y * z / K[1, 1]) if released else (x / K[0, 0] * z, y / K[1, 1] * z)
    T = T_world_camera.to(z)
    points = torch.stack([x, y, z], dim=-1).view(-1, 3) @ T[:3, :3].T + T[:3, 3]
    if mask is not None:
        found = found & ~(interpolate(mask[None, None].float(), size=(height, width), mode="nearest")[0, 0] > 0.5)
    return Lifted(points, latents.flatten(1).T, found.flatten())


def grid_intrinsics(
    K: Tensor, width: int, height: int, columns: int, rows: int, *, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return the intrinsics [3, 3] of a grid of cells over a picture, from those of its pixels."""
    scaled = K.to(dtype).clone()
    scaled[0] *= columns / width
    scaled[1] *= rows / height
    return scaled


def masked_cells(mask: Tensor, height: int, width: int) -> Tensor:
    """Return which cells [height, width] of a grid have a pixel of a mask [H, W] bool: the latents there know of it."""
    cells = torch.zeros(height * width, dtype=torch.bool, device=mask.device)
    cells[cells_of(*mask.shape, height, width)[0].to(mask.device)[mask.flatten()]] = True
    return cells.view(height, width)


def nearest_pixels(valid: Tensor, height: int, width: int) -> Tensor:
    """Return for each cell of a grid its valid pixel nearest to its middle: [height, width] int64, or -1.

    Of equally near ones the first, row by row.

    :param valid: [H, W] bool.
    """
    cell, rank, ordered = (each.to(valid.device) for each in cells_of(*valid.shape, height, width))
    none = len(ordered)
    pixel = valid.flatten().nonzero().squeeze(1)
    best = torch.full((height * width,), none, dtype=torch.int64, device=valid.device)
    best.scatter_reduce_(0, cell[pixel], rank[pixel], "amin")
    return torch.where(best < none, ordered[best.clamp(max=none - 1)], -1).view(height, width)


@lru_cache(maxsize=4)
def cells_of(rows: int, columns: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cell of each pixel, its rank by distance from the middle of its cell, and the pixels by rank."""
    v, u = torch.arange(rows, dtype=torch.float64) + 0.5, torch.arange(columns, dtype=torch.float64) + 0.5
    row, column = (v * height / rows).long(), (u * width / columns).long()
    dv, du = v - (row + 0.5) * rows / height, u - (column + 0.5) * columns / width
    # Rounded, so that what is equally near is so for any size of cells.
    distance = (dv.square()[:, None] + du.square()).mul(1 << 20).round().flatten()
    ordered = torch.argsort(distance, stable=True)
    rank = torch.empty_like(ordered)
    rank[ordered] = torch.arange(len(ordered))
    return (row[:, None] * width + column).flatten(), rank, ordered


def check_geometry(geometry: str) -> None:
    """Raise ValueError for an unknown geometry."""
    if geometry not in get_args(Geometry):
        raise ValueError(f"geometry must be one of {', '.join(get_args(Geometry))}, got {geometry!r}")


def _check(latents: Tensor, depth: Tensor, mask: Tensor | None, geometry: str, sampling: str | None) -> None:
    check_geometry(geometry)
    if sampling not in (None, *get_args(DepthSampling)):
        raise ValueError(f"sampling must be one of {', '.join(get_args(DepthSampling))}, got {sampling!r}")
    if geometry == "released" and sampling == "nearest":
        raise ValueError("the released geometry samples depth bilinearly")
    if latents.ndim != 3 or depth.ndim != 2:
        raise ValueError(
            f"latents must be [C, h, w] and depth [H, W], got {list(latents.shape)} and {list(depth.shape)}"
        )
    if mask is not None and (mask.shape != depth.shape or mask.dtype != torch.bool):
        raise ValueError(f"mask must be bool {list(depth.shape)} like the depth, got {mask.dtype} {list(mask.shape)}")
