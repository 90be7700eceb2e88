"""Surfels and cameras as the compiled kernels take them: ``src/kernels/surfels.hpp``."""

from __future__ import annotations

from ctypes import Structure, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import address
from vmem_ros.memory.bounds import Bounds
from vmem_ros.memory.surfel.surfels import Blocks


class _Spheres(Structure):
    _fields_ = [("centre", c_void_p), ("radius", c_void_p), ("largest", c_void_p), ("n", c_int64)]


class Surfels(Structure):
    """Where the columns of surfels and their blocks are; valid as long as these are."""

    _fields_ = [
        *((name, c_void_p) for name in ("position", "normal", "radius", "provenance")),
        ("hidden", c_void_p),
        ("n", c_int64),
        ("blocks", _Spheres),
        ("groups", _Spheres),
        ("per_block", c_int64),
    ]

    @classmethod
    def of(cls, blocks: Blocks, n_surfels: int, hidden: Tensor | None) -> Surfels:
        """Return so many surfels in blocks.

        :param hidden: [N] bool: surfels that are left out.
        """
        surfels, bounds = blocks.surfels, blocks.bounds
        columns = (surfels.position, surfels.normal, surfels.radius, surfels.provenance)
        return cls(
            *(address(column, torch.float32) for column in columns),
            address(hidden, torch.bool),
            n_surfels,
            _spheres(bounds.blocks),
            _spheres(bounds.groups),
            surfels.radius.shape[1],
        )


class Eye(Structure):
    """A camera, and how surfels get into its optical frame."""

    _fields_ = [
        ("width", c_int64),
        ("height", c_int64),
        *((name, c_float) for name in ("fx", "fy", "cx", "cy")),
        ("rotation", c_float * 9),
        ("translation", c_float * 3),
    ]

    @classmethod
    def of(cls, camera: Camera, T_camera_surfels: Tensor) -> Eye:
        """Return a camera without skew; ``T_camera_surfels`` [4, 4] takes surfels into the optical frame."""
        rotation, translation = T_camera_surfels[:3, :3].flatten().tolist(), T_camera_surfels[:3, 3].tolist()
        return cls(
            camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy,
            (c_float * 9)(*rotation), (c_float * 3)(*translation),
        )  # fmt: skip


def _spheres(bounds: Bounds) -> _Spheres:
    return _Spheres(*(address(column, torch.float32) for column in bounds), len(bounds.radius))
