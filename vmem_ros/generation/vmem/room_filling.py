"""Holes of what memory shows of a room, filled from the surface that goes on behind them.

Each hole gets the colours of the floor, the ceiling or the wall that its rays meet first. So the edges between them go
straight on through what nobody saw yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, ManhattanRoom
from vmem_ros.geometry.hole_filling import fill_holes

_LEAST_SOURCE = 12

#: ``smooth``: colours from around a hole; ``room``: from the floor, ceiling or wall that goes on behind it.
HoleFilling = Literal["smooth", "room"]


def fill_projection(
    images: Tensor,
    seen: Tensor,
    depth: Tensor,
    cameras: Sequence[Camera],
    T_world_camera: Tensor,
    *,
    how: HoleFilling,
) -> Tensor:
    """Return what memory shows with its holes filled; arguments as of :func:`fill_room`.

    :raises ValueError: another ``how``.
    """
    if how not in get_args(HoleFilling):
        raise ValueError(f"hole_filling must be one of {', '.join(get_args(HoleFilling))}, got {how!r}")
    return fill_holes(images, seen) if how == "smooth" else fill_room(images, seen, depth, cameras, T_world_camera)


def fill_room(images: Tensor, seen: Tensor, depth: Tensor, cameras: Sequence[Camera], T_world_camera: Tensor) -> Tensor:
    """Return the images with the colours of floor, ceiling and walls where nothing is seen.

    Where no surface is known, holes are filled smoothly (:func:`~vmem_ros.geometry.hole_filling.fill_holes`).

    :param images: [N, 3, H, W] floating point, of one room or of rooms with one floor.
    :param seen: [N, H, W] bool; ``depth`` [N, H, W] in metres, of any value elsewhere.
    :param cameras: N, of the images' size; ``T_world_camera`` [N, 4, 4] in a world with z up.
    """
    room = ManhattanRoom.seen_in(torch.where(seen, depth, torch.nan), cameras, T_world_camera)
    floor, ceiling = room.is_floor, room.is_ceiling
    sources = [seen & floor, seen & ceiling, seen & ~floor & ~ceiling]
    filled = fill_holes(images, seen)
    for surface, source in enumerate(sources):
        if int(source.sum()) < _LEAST_SOURCE:
            continue
        # Where an image does not show the surface, it has the mean colour that it has in the others.
        mean = images.permute(0, 2, 3, 1)[source].mean(dim=0)[None, :, None, None]
        enough = source.sum(dim=(1, 2)) >= _LEAST_SOURCE
        colours = torch.where(enough[:, None, None, None], fill_holes(images, source), mean)
        here = (room.surface == surface) & ~seen
        filled = torch.where(here[:, None], colours, filled)
    return filled
