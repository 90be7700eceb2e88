"""What a view adds to an index, compiled: ``src/kernels/notes.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int32, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.kernels.library import address


class _Evidence(Structure):
    _fields_ = [(name, c_void_p) for name in ("balance", "refuted", "removed", "added")]


def distinct(library: ctypes.CDLL, found: Tensor, others: Tensor | None, first: int, end: int) -> Tensor:
    """Return what :func:`vmem_ros.memory.observations.distinct` does."""
    found, others = found.contiguous(), None if others is None else others.contiguous()
    n_others = 0 if others is None else len(others)
    out = torch.empty(len(found) + n_others + end - first, dtype=torch.int64)
    library.vmem_distinct.restype = c_int64
    library.vmem_distinct.argtypes = [c_void_p, c_int64, c_void_p, c_int64, c_int64, c_int64, c_void_p]
    count = library.vmem_distinct(
        address(found, torch.int64), len(found), address(others, torch.int64), n_others, first, end,
        address(out, torch.int64),
    )  # fmt: skip
    return out[:count]


def box(library: ctypes.CDLL, points: Tensor, index: Tensor | None) -> Tensor:
    """Return the box [2, 3] around the points [n, 3] float32 numbered ``index`` [m] int64; without any it is empty.

    :param index: ``None``: all.
    """
    points, index, out = points.contiguous(), None if index is None else index.contiguous(), torch.empty(2, 3)
    count = len(points if index is None else index)
    library.vmem_box.restype = None
    library.vmem_box.argtypes = [c_void_p, c_void_p, c_int64, c_void_p]
    library.vmem_box(address(points, torch.float32), address(index, torch.int64), count, address(out, torch.float32))
    return out


def bound(
    library: ctypes.CDLL, centre: Tensor, radius: Tensor, largest: Tensor, per_block: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre, radius and largest element of the bounds of every ``per_block`` successive spheres."""
    centre, radius, largest = centre.contiguous(), radius.contiguous(), largest.contiguous()
    blocks = -(-len(radius) // per_block)
    out = torch.empty(blocks, 3), torch.empty(blocks), torch.empty(blocks)
    library.vmem_bound.restype = None
    library.vmem_bound.argtypes = [c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p]
    library.vmem_bound(
        *(address(each, torch.float32) for each in (centre, radius, largest)), len(radius), per_block,
        *(address(each, torch.float32) for each in out),
    )  # fmt: skip
    return out


def count_evidence(
    library: ctypes.CDLL,
    balance: Tensor,
    refuted: Tensor,
    removed: Tensor,
    added: Tensor,
    elements: Tensor,
    change: int,
) -> None:
    """Add a change to the balance [n] int32 of some elements [m] int64, and bring ``refuted`` [n] bool up to date."""
    elements = elements.contiguous()
    evidence = _Evidence(
        address(balance, torch.int32), *(address(each, torch.bool) for each in (refuted, removed, added))
    )
    library.vmem_count_evidence.restype = None
    library.vmem_count_evidence.argtypes = [POINTER(_Evidence), c_void_p, c_int64, c_int32]
    library.vmem_count_evidence(byref(evidence), address(elements, torch.int64), len(elements), change)


def sum_votes(
    library: ctypes.CDLL, elements: Tensor, offsets: Tensor, weight: Tensor, views: Tensor, sampled: int
) -> Tensor:
    """Return the votes of some views [n] int64; see :meth:`vmem_ros.memory.observations.Observations.sums`."""
    weight, views = weight.contiguous(), views.contiguous()
    votes = torch.empty_like(views)
    library.vmem_sum_votes.restype = None
    library.vmem_sum_votes.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p]
    library.vmem_sum_votes(
        address(elements, torch.int32), *(address(each, torch.int64) for each in (offsets, weight, views)), len(views),
        sampled, address(votes, torch.int64),
    )  # fmt: skip
    return votes


def moved(library: ctypes.CDLL, position: Tensor, normal: Tensor, T: Tensor) -> tuple[Tensor, Tensor]:
    """Return positions and normals [n, 3] float32 moved by a rigid transform [4, 4]."""
    position, normal = position.contiguous(), normal.contiguous()
    out = torch.empty_like(position), torch.empty_like(normal)
    rotation, translation = T[:3, :3].flatten().tolist(), T[:3, 3].tolist()
    library.vmem_move.restype = None
    library.vmem_move.argtypes = [c_float * 9, c_float * 3, c_void_p, c_void_p, c_int64, c_void_p, c_void_p]
    library.vmem_move(
        (c_float * 9)(*rotation), (c_float * 3)(*translation),
        address(position, torch.float32), address(normal, torch.float32), len(position),
        *(address(each, torch.float32) for each in out),
    )  # fmt: skip
    return out
