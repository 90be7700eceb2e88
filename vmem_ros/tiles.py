"""A projection in tiles: what a large picture takes is that of one tile and itself, and something else may run between.

A tile is what a camera with a shifted principal point sees. It is drawn with some pixels around it, so that what looks
at neighbours, as closing small holes does, finds the same there as in the whole picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator

import torch

from vmem_ros.geometry import Camera
from vmem_ros.protocols import Memory
from vmem_ros.types import Projection, Target

#: Pixels of a tile: a tenth of a second's work at most.
TILE_PIXELS = 512 * 512
_MARGIN = 16


def project_in_tiles(memory: Memory, target: Target) -> Generator[None, None, Projection]:
    """Return what memory shows at a pose; yields between tiles, where the memory must not change.

    Equal to ``memory.project(target)`` up to rounding, without features. A picture that is no larger than a tile, and
    one that a camera took at this very pose, are drawn at once.
    """
    camera = target.camera
    if camera.width * camera.height <= TILE_PIXELS or memory.find(target) is not None:
        return memory.project(target)
    whole: Projection | None = None
    for rows, columns in _tiles(camera):
        top, left = max(rows.start - _MARGIN, 0), max(columns.start - _MARGIN, 0)
        bottom, right = min(rows.stop + _MARGIN, camera.height), min(columns.stop + _MARGIN, camera.width)
        window = camera.cropped(left, top, right - left, bottom - top)
        tile = memory.project(dataclasses.replace(target, camera=window))
        inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        whole = whole or _empty_like(tile, camera)
        for name in ("image", "depth", "seen", "ids", "confidence"):
            getattr(whole, name)[rows, columns] = getattr(tile, name)[inner]
        yield
    assert whole is not None, "a camera has pixels"
    return whole


def _tiles(camera: Camera) -> Iterator[tuple[slice, slice]]:
    """Yield rows and columns of tiles as nearly square as their number allows."""
    side = int(TILE_PIXELS**0.5)
    width = min(camera.width, max(side, TILE_PIXELS // camera.height))
    height = max(TILE_PIXELS // width, 1)
    for top in range(0, camera.height, height):
        for left in range(0, camera.width, width):
            yield (
                slice(top, min(top + height, camera.height)),
                slice(left, min(left + width, camera.width)),
            )


def _empty_like(tile: Projection, camera: Camera) -> Projection:
    """Return a projection of a camera's size to be filled, on the device of a tile."""

    def empty(like: torch.Tensor) -> torch.Tensor:
        return torch.empty((*camera.size, *like.shape[2:]), dtype=like.dtype, device=like.device)

    return Projection(
        image=empty(tile.image),
        depth=empty(tile.depth),
        seen=empty(tile.seen),
        ids=empty(tile.ids),
        confidence=empty(tile.confidence),
    )
