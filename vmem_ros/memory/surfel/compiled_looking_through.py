"""Which surfels a camera looks through, compiled: ``src/kernels/through.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import address
from vmem_ros.memory.surfel.compiled_surfels import Eye, Surfels
from vmem_ros.memory.surfel.surfels import Blocks


def looked_through(
    library: ctypes.CDLL,
    blocks: Blocks,
    n_surfels: int,
    camera: Camera,
    T_camera_surfels: Tensor,
    depth: Tensor,
    *,
    margin: float,
    near: float,
    hidden: Tensor,
) -> Tensor:
    """Return the numbers [k] int64; see :func:`vmem_ros.memory.surfel.looking_through.looked_through`."""
    depth = depth.contiguous()
    found = torch.empty(n_surfels, dtype=torch.int64)
    library.vmem_looked_through.restype = c_int64
    library.vmem_looked_through.argtypes = [
        POINTER(Surfels), POINTER(Eye), c_void_p, c_int64, c_int64, c_float, c_float, c_void_p,
    ]  # fmt: skip
    count = library.vmem_looked_through(
        byref(Surfels.of(blocks, n_surfels, hidden)), byref(Eye.of(camera, T_camera_surfels)),
        address(depth, torch.float32), *depth.shape, margin, near, address(found, torch.int64),
    )  # fmt: skip
    return found[:count].clone()
