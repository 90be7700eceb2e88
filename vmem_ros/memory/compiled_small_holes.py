"""Small holes of what a memory shows, closed, compiled: ``src/kernels/holes.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from dataclasses import replace

import torch

from vmem_ros.kernels.library import address
from vmem_ros.types import CLOSED_CONFIDENCE, Projection

_MAPS = {
    "image": torch.uint8,
    "depth": torch.float32,
    "seen": torch.bool,
    "ids": torch.int64,
    "confidence": torch.float32,
}


class _Shown(Structure):
    _fields_ = [("height", c_int64), ("width", c_int64), *((name, c_void_p) for name in _MAPS)]


class _Holes(Structure):
    _fields_ = [("widest", c_int64), ("per_pixel", c_float), ("confidence", c_float)]


def close_small_holes(library: ctypes.CDLL, shown: Projection, *, widest: int, per_pixel: float) -> Projection:
    """Return what :func:`vmem_ros.memory.small_holes.close_small_holes` does.

    :param widest: pixels of a hole that is closed, even.
    :param per_pixel: by which share of the inverse depth a surface may change from pixel to pixel.
    """
    maps = {name: getattr(shown, name).clone(memory_format=torch.contiguous_format) for name in _MAPS}
    pointers = (address(maps[name], dtype) for name, dtype in _MAPS.items())
    library.vmem_close_small_holes.restype = None
    library.vmem_close_small_holes.argtypes = [POINTER(_Shown), POINTER(_Holes)]
    library.vmem_close_small_holes(
        byref(_Shown(*shown.seen.shape, *pointers)), byref(_Holes(widest, per_pixel, CLOSED_CONFIDENCE))
    )
    return replace(shown, **maps)
