"""How brightly a view was taken compared with another, compiled: ``src/kernels/exposure.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.kernels.library import address
from vmem_ros.memory.compiled_views import EachView, views_of
from vmem_ros.memory.other_view import OtherView
from vmem_ros.types import View


class _Comparison(Structure):
    _fields_ = [
        ("image", c_void_p),
        ("depth", c_void_p),
        *((name, c_int64) for name in ("height", "width", "first", "step")),
        *((name, c_float) for name in ("tolerance", "darkest", "brightest")),
    ]


def compare_exposure(
    library: ctypes.CDLL,
    view: View,
    others: Sequence[OtherView],
    *,
    step: int,
    tolerance: float,
    usable: tuple[float, float],
) -> list[tuple[int, Tensor]]:
    """Return how many points the view has in common with each other, and the median logarithm [3] of its colours over
    the other's.

    :param step: pixels between points, along rows and columns.
    :param tolerance: see :mod:`vmem_ros.memory.exposure`.
    :param usable: colours between these are compared.
    """
    assert view.depth is not None, "the memory stores the depth of every view"
    image, depth = view.image.contiguous(), view.depth.contiguous()
    comparison = _Comparison(
        address(image, torch.uint8), address(depth, torch.float32), *view.camera.size,
        step // 2, step, tolerance, *usable,
    )  # fmt: skip
    views, alive = views_of(others)
    common, ratio = (c_int64 * len(others))(), torch.zeros(len(others), 3)
    library.vmem_compare_exposure.restype = None
    library.vmem_compare_exposure.argtypes = [
        POINTER(_Comparison), POINTER(EachView), c_int64, POINTER(c_int64), c_void_p,
    ]  # fmt: skip
    library.vmem_compare_exposure(byref(comparison), views, len(others), common, address(ratio, torch.float32))
    del alive
    return list(zip(common, ratio, strict=True))
