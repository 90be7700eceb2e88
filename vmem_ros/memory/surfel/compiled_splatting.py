"""Surfels into a z-buffer, compiled: ``src/kernels/splat.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import address, threads
from vmem_ros.memory.surfel.compiled_surfels import Eye, Surfels
from vmem_ros.memory.surfel.surfels import Blocks

#: Names of the constants, in the order of the kernel: those that are numbers, and those that count something.
CONSTANTS, COUNTS = ("scale", "near", "edge_on", "least_px", "covered"), ("tile", "first_blocks")


class _Constants(Structure):
    _fields_ = [*((name, c_float) for name in CONSTANTS), *((name, c_int64) for name in COUNTS)]


def splat(
    library: ctypes.CDLL,
    blocks: Blocks,
    n_surfels: int,
    camera: Camera,
    T_camera_surfels: Tensor,
    constants: Mapping[str, float],
    hidden: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, depth and what is imagined [H, W]; see :func:`vmem_ros.memory.surfel.splatting.splat`.

    :param T_camera_surfels: [4, 4] takes surfels into the optical frame.
    """
    cloud, eye = Surfels.of(blocks, n_surfels, hidden), Eye.of(camera, T_camera_surfels)
    numbers = _Constants(*(constants[name] for name in CONSTANTS), *(int(constants[name]) for name in COUNTS))
    ids, depth = torch.empty(camera.size, dtype=torch.int64), torch.empty(camera.size)
    imagined = torch.empty(camera.size, dtype=torch.bool)
    library.vmem_splat.restype = None
    library.vmem_splat.argtypes = [
        POINTER(Surfels), POINTER(Eye), POINTER(_Constants), c_void_p, c_void_p, c_void_p, c_int64,
    ]  # fmt: skip
    library.vmem_splat(
        byref(cloud), byref(eye), byref(numbers),
        address(ids, torch.int64), address(depth, torch.float32), address(imagined, torch.bool), threads(),
    )  # fmt: skip
    return ids, depth, imagined
