"""The grid of voxels: anchored to the world, numbered from the place of the first view.

The same place of the world lies in the same voxel whatever else was written, and one outlier moves nothing. (Voxel
filters that begin at the lowest point of a cloud move every cell with it.) Numbers count from the cell of the first
view, so that worlds far from the origin keep precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A key packs a block of 8 x 8 x 8 cells into its high bits and the cell within into its low bits: cells whose keys are
# near each other lie near each other.
_INNER_BITS, _BLOCK_BITS = 3, 17
_INNER = (1 << _INNER_BITS) - 1
#: Cells each way of the anchor, along each axis: with 2 cm, ten kilometres. Nothing is remembered beyond.
REACH = 1 << (_INNER_BITS + _BLOCK_BITS - 1)
#: Keys are less than this.
KEYS = 1 << (3 * (_INNER_BITS + _BLOCK_BITS))


@dataclass(frozen=True, eq=False)
class Grid:
    """Cubes of one size.

    :param voxel: their side in metres.
    :param anchor: [3] int64: the cell of the world that has the number 0; cell c begins at ``c * voxel``.
    """

    voxel: float
    anchor: Tensor

    @classmethod
    def around(cls, place: Tensor, voxel: float) -> Grid:
        """Return the grid numbered from the cell of a place [3] float64."""
        return cls(voxel, torch.floor(place / voxel).long())

    @property
    def origin(self) -> Tensor:
        """[3] float64: where cell 0 begins, in the world."""
        return self.anchor.double() * self.voxel

    def local(self, T_world_camera: Tensor) -> Tensor:
        """Return poses [..., 4, 4] relative to :attr:`origin`, float64."""
        T = T_world_camera.clone()
        T[..., :3, 3] -= self.origin
        return T

    def places(self, points: Tensor, T_world_camera: Tensor) -> Tensor:
        """Return points [n, 3] of the optical frame in units of cells [n, 3], float64: where float32 would round points
        at the border of a cell into its neighbour."""
        T = self.local(T_world_camera).to(points.device)
        return (points.double() @ T[:3, :3].mT + T[:3, 3]) / self.voxel


def pack(cell: Tensor) -> Tensor:
    """Return the keys [n] int64 of cells [n, 3] int64 within :data:`REACH`."""
    cell = cell + REACH
    x, y, z = (cell >> _INNER_BITS).unbind(-1)
    block = (((x << _BLOCK_BITS) | y) << _BLOCK_BITS) | z
    x, y, z = (cell & _INNER).unbind(-1)
    inner = (((x << _INNER_BITS) | y) << _INNER_BITS) | z
    return (block << (3 * _INNER_BITS)) | inner


def unpack(key: Tensor) -> Tensor:
    """Return the cells [n, 3] int64 of keys [n] int64."""
    block, inner = key >> (3 * _INNER_BITS), key & ((1 << (3 * _INNER_BITS)) - 1)
    axes = [
        (((block >> (axis * _BLOCK_BITS)) & ((1 << _BLOCK_BITS) - 1)) << _INNER_BITS)
        | ((inner >> (axis * _INNER_BITS)) & _INNER)
        for axis in (2, 1, 0)
    ]
    return torch.stack(axes, dim=-1) - REACH
