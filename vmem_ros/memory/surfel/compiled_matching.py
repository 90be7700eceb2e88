"""Surfels by voxel, compiled: ``src/kernels/match.cpp``.

The nearest similar one of each new one, and new ones put in.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.kernels.library import address, threads
from vmem_ros.memory.surfel.surfels import SurfelCloud

# Voxels of a surfel that the kernel has room for.
_MOST_SEARCHED = 64


class _Oriented(Structure):
    _fields_ = [*((name, c_void_p) for name in ("position", "normal", "radius", "provenance")), ("n", c_int64)]


class _Voxels(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("keys", "heads", "next", "cubes")),
        *((name, c_int64) for name in ("slots", "empty", "golden", "levels", "lowest", "highest", "coordinate_bits")),
        *((name, c_int64) for name in ("first_offset", "last_offset")),
        *((name, c_float) for name in ("merge_factor", "two_merge_factors", "min_cosine")),
    ]


class Voxels(NamedTuple):
    """Surfels by voxel; see :class:`vmem_ros.memory.surfel.voxel_hash.VoxelHash`.

    :param keys: [slots] int64, ``heads`` [slots] int32 and ``next`` [surfels] int32.
    :param cubes: [slots / 64] int64: bits of the places where there are voxels, see :func:`note_voxels`.
    :param empty: key of a free slot.
    :param golden: multiplier of the hash.
    :param levels: bit l: there are voxels of level ``lowest + l``, up to ``highest``.
    :param first_offset: and ``last_offset``: levels that are searched, relative to a surfel's own.
    """

    keys: Tensor
    heads: Tensor
    next: Tensor
    cubes: Tensor
    empty: int
    golden: int
    levels: int
    lowest: int
    highest: int
    coordinate_bits: int
    first_offset: int
    last_offset: int
    merge_factor: float
    two_merge_factors: float
    min_cosine: float


def match(library: ctypes.CDLL, new: SurfelCloud, old: SurfelCloud, voxels: Voxels, barred: Tensor | None) -> Tensor:
    """Return for each new surfel the index of its match among the old ones, or -1: [M] int64.

    :param barred: [N] bool: old surfels that match nothing.
    """
    found = torch.empty(len(new), dtype=torch.int64)
    # What is not contiguous is copied, and must live until the kernel is done.
    new_columns, old_columns = (
        [column.contiguous() for column in (cloud.position, cloud.normal, cloud.radius, cloud.provenance)]
        for cloud in (new, old)
    )
    fresh, stored = (
        _Oriented(*(address(column, torch.float32) for column in columns), len(columns[-1]))
        for columns in (new_columns, old_columns)
    )
    library.vmem_match.restype = None
    library.vmem_match.argtypes = [
        POINTER(_Oriented), POINTER(_Oriented), POINTER(_Voxels), c_void_p, c_void_p, c_int64,
    ]  # fmt: skip
    library.vmem_match(
        byref(fresh), byref(stored), byref(_table(voxels)), address(barred, torch.bool), address(found, torch.int64),
        threads(),
    )  # fmt: skip
    return found


def note_voxels(library: ctypes.CDLL, voxels: Voxels) -> None:
    """Fill in the ``cubes``, which are empty, by the other columns."""
    library.vmem_note_voxels.restype = None
    library.vmem_note_voxels.argtypes = [POINTER(_Voxels)]
    library.vmem_note_voxels(byref(_table(voxels)))


def insert(library: ctypes.CDLL, position: Tensor, radius: Tensor, first: int, voxels: Voxels) -> tuple[int, int]:
    """Insert surfels numbered ``first, first + 1, ...``, for which there is room.

    :param position: [M, 3] float32, and ``radius`` [M].
    :return: how many voxels are new, and the levels of the surfels like :attr:`Voxels.levels`.
    """
    position, radius = position.contiguous(), radius.contiguous()
    levels = c_int64()
    library.vmem_insert.restype = c_int64
    library.vmem_insert.argtypes = [POINTER(_Voxels), c_void_p, c_void_p, c_int64, c_int64, POINTER(c_int64)]
    taken = library.vmem_insert(
        byref(_table(voxels)), address(position, torch.float32), address(radius, torch.float32), radius.shape[0], first,
        byref(levels),
    )  # fmt: skip
    return int(taken), levels.value


def _table(voxels: Voxels) -> _Voxels:
    assert 8 * (1 + voxels.last_offset - voxels.first_offset) <= _MOST_SEARCHED, "see kMostPlaces in match.cpp"
    return _Voxels(
        address(voxels.keys, torch.int64), address(voxels.heads, torch.int32), address(voxels.next, torch.int32),
        address(voxels.cubes, torch.int64), len(voxels.keys), *voxels[4:],
    )  # fmt: skip
