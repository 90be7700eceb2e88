"""The surfels of one view, compiled: ``src/kernels/sample.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry.rays import ray_tangents_32
from vmem_ros.kernels.library import address, threads
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.types import PointMap

#: Names of the constants, in the order of the kernel: those that count something, and those that are numbers.
COUNTS, NUMBERS = ("patch_rows", "patch_columns"), ("least_confidence", "alpha", "focal", "same_surface")


class _PointMap(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("points", "depth", "x", "y", "confidence", "known", "image")),
        ("height", c_int64),
        ("width", c_int64),
    ]


class _Sampling(Structure):
    _fields_ = [
        ("rows", c_void_p),
        ("columns", c_void_p),
        *((name, c_int64) for name in ("n_rows", "n_columns", *COUNTS)),
        *((name, c_float) for name in NUMBERS),
    ]


class _Sampled(Structure):
    _fields_ = [(name, c_void_p) for name in ("position", "normal", "radius", "color")]


def sample_surfels(
    library: ctypes.CDLL,
    point_map: PointMap,
    image: Tensor,
    known: Tensor | None,
    rows: Tensor,
    columns: Tensor,
    constants: Mapping[str, float],
    *,
    observed: bool,
) -> SurfelCloud:
    """Return the surfels of one view; see :func:`vmem_ros.memory.surfel.extraction.sample_surfels`.

    :param rows: [R] int64 and ``columns`` [C]: of the pixels that may become surfels.
    """
    n = len(rows) * len(columns)
    points, depth, x, y = _points_or_depth(point_map)
    confidence, image = point_map.confidence.contiguous(), image.contiguous()
    known = None if known is None else known.contiguous()
    position, normal, radius = torch.empty(n, 3), torch.empty(n, 3), torch.empty(n)
    color = torch.empty(n, 3, dtype=torch.uint8)
    there = _PointMap(
        *(address(each, torch.float32) for each in (points, depth, x, y, confidence)),
        address(known, torch.bool), address(image, torch.uint8), *point_map.camera.size,
    )  # fmt: skip
    how = _Sampling(
        address(rows, torch.int64), address(columns, torch.int64), len(rows), len(columns),
        *(int(constants[name]) for name in COUNTS), *(constants[name] for name in NUMBERS),
    )  # fmt: skip
    out = _Sampled(*(address(column, torch.float32) for column in (position, normal, radius)), color.data_ptr())
    library.vmem_sample_surfels.restype = c_int64
    library.vmem_sample_surfels.argtypes = [POINTER(_PointMap), POINTER(_Sampling), POINTER(_Sampled), c_int64]
    count = library.vmem_sample_surfels(byref(there), byref(how), byref(out), threads())
    return SurfelCloud(
        position=position[:count],
        normal=normal[:count],
        radius=radius[:count],
        color=color[:count],
        provenance=torch.full((count,), float(observed)),
    )


def _points_or_depth(point_map: PointMap) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Return the points of a map, or the depth and the x and y of the rays that they follow from."""
    depth = point_map.known_depth
    if depth is None or point_map.camera.K[0, 1] or depth.dtype != torch.float32:
        return point_map.points.contiguous(), None, None, None
    return None, depth.contiguous(), *ray_tangents_32(point_map.camera)
