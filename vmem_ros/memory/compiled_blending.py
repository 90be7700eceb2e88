"""Blending of stored views, compiled: ``src/kernels/blend.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import address, threads
from vmem_ros.memory.compiled_views import EachView, views_of
from vmem_ros.memory.other_view import OtherView

#: Names of the constants, in the order of the kernel; after them comes the number of fusions.
CONSTANTS = (
    "angle",
    "angle_of_depth",
    "depth",
    "depth_before_fusion",
    "equal",
    "tolerance",
    "without_depth",
    "border",
    "at_border",
    "other_surface",
    "of_memory",
    "of_imagination",
    "least",
    "poor",
    "farthest",
    "one_surface",
)


class _Constants(Structure):
    _fields_ = [*((name, c_float) for name in CONSTANTS), ("fusions", c_int64)]


class _Target(Structure):
    _fields_ = [
        ("width", c_int64),
        ("height", c_int64),
        *((name, c_float) for name in ("fx", "fy", "cx", "cy")),
        ("depth", c_void_p),
        ("imagined", c_void_p),
    ]


class _Blended(Structure):
    _fields_ = [(name, c_void_p) for name in ("image", "depth", "provenance", "found", "refuted")]


def blend(
    library: ctypes.CDLL,
    groups: Sequence[Sequence[OtherView]],
    camera: Camera,
    depth: Tensor,
    imagined: Tensor,
    constants: Mapping[str, float],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return image, depth, provenance, found and refuted; see :class:`vmem_ros.memory.blending.Blended`.

    :param depth: [H, W] float32, NaN where nothing is asked.
    :param imagined: [H, W] bool.
    """
    asked = [each for group in groups for each in group]
    # What is not contiguous is copied, and must live until the kernel is done.
    views, alive = views_of(asked)
    depth, imagined = depth.contiguous(), imagined.contiguous()
    size = camera.size
    image = torch.empty(*size, 3, dtype=torch.uint8)
    fused, provenance = torch.empty(size), torch.empty(size)
    found, refuted = torch.empty(size, dtype=torch.bool), torch.empty(size, dtype=torch.bool)
    target = _Target(
        camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy,
        address(depth, torch.float32), address(imagined, torch.bool),
    )  # fmt: skip
    out = _Blended(
        address(image, torch.uint8),
        address(fused, torch.float32),
        address(provenance, torch.float32),
        address(found, torch.bool),
        address(refuted, torch.bool),
    )
    sizes = (c_int64 * len(groups))(*(len(group) for group in groups))
    numbers = _Constants(*(constants[name] for name in CONSTANTS), int(constants["fusions"]))
    library.vmem_blend.restype = None
    library.vmem_blend.argtypes = [
        POINTER(EachView), POINTER(c_int64), c_int64, POINTER(_Target), POINTER(_Constants), POINTER(_Blended), c_int64,
    ]  # fmt: skip
    library.vmem_blend(views, sizes, len(groups), byref(target), byref(numbers), byref(out), threads())
    del alive
    return image, fused, provenance, found, refuted
