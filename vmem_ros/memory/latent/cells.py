"""Cubes of space by number: cells of a side of 2^level metres, and voxels of one size."""

from __future__ import annotations

import torch
from torch import Tensor

# Bits of a coordinate, around zero, and of the level: 63 in all, so that keys are not negative.
_COORDINATE_BITS = 19
_REACH = 1 << (_COORDINATE_BITS - 1)
#: Sides of cells, from a fraction of a millimetre on; with the largest, the farthest places have cells, too.
LOWEST_LEVEL, HIGHEST_LEVEL = -12, 19
#: Keys are less than this.
KEYS = 1 << (3 * _COORDINATE_BITS + 5)


def pack(cell: Tensor, level: Tensor | int = LOWEST_LEVEL) -> Tensor:
    """Return the keys [n] int64 of cells [n, 3] int64; what is beyond their reach lies in the outermost.

    :param level: of the cells, [n] int64 or one for all.
    """
    x, y, z = (cell.clamp(-_REACH, _REACH - 1) + _REACH).unbind(-1)
    place = (((x << _COORDINATE_BITS) | y) << _COORDINATE_BITS) | z
    return place | ((level - LOWEST_LEVEL) << (3 * _COORDINATE_BITS))


def unpack(key: Tensor) -> Tensor:
    """Return the cells [n, 3] int64 of keys [n] int64, without their level."""
    axes = [(key >> (axis * _COORDINATE_BITS)) & ((1 << _COORDINATE_BITS) - 1) for axis in (2, 1, 0)]
    return torch.stack(axes, dim=-1) - _REACH


def level_of(spacing: Tensor, position: Tensor) -> Tensor:
    """Return the level [n] int64 of the cells for points so far from each other: of a side of half to all of it.

    :param spacing: [n] metres.
    :param position: [n, 3]: cells so far out are large enough to have a number.
    """
    farthest = position.abs().amax(dim=-1).clamp(min=1e-6)
    reachable = torch.log2(farthest).ceil() - (_COORDINATE_BITS - 2)
    return torch.maximum(torch.log2(spacing).floor(), reachable).clamp(LOWEST_LEVEL, HIGHEST_LEVEL).long()


def cells_at(position: Tensor, level: Tensor) -> Tensor:
    """Return where points [n, 3] lie in units of the cells of their level [n] int64: [n, 3] float64."""
    return position.double() * torch.exp2(-level.double())[:, None]
