"""Which surfels a camera sees again, compiled: ``src/kernels/notes.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import address
from vmem_ros.memory.surfel.compiled_surfels import Eye
from vmem_ros.memory.surfel.splatting import Splat
from vmem_ros.memory.surfel.surfels import SurfelCloud


class _Again(Structure):
    _fields_ = [
        *((name, c_void_p) for name in ("position", "radius", "provenance")),
        ("n", c_int64),
        *((name, c_void_p) for name in ("old_normal", "old_radius", "old_provenance", "ids", "depth")),
        *((name, c_float) for name in ("metres", "share", "coarser")),
    ]


def recognise(
    library: ctypes.CDLL,
    found: Tensor,
    new: SurfelCloud,
    old: SurfelCloud,
    rendered: Splat,
    camera: Camera,
    T_camera_surfels: Tensor,
    *,
    metres: float,
    share: float,
    coarser: float,
) -> None:
    """Do what :func:`vmem_ros.memory.surfel.recognition.recognise` does."""
    columns = [
        each.contiguous()
        for each in (new.position, new.radius, new.provenance, old.normal, old.radius, old.provenance, rendered.depth)
    ]
    position, radius, provenance, normal, old_radius, old_provenance, depth = (
        address(each, torch.float32) for each in columns
    )
    ids = rendered.ids.contiguous()
    again = _Again(
        position, radius, provenance, len(new), normal, old_radius, old_provenance, address(ids, torch.int64), depth,
        metres, share, coarser,
    )  # fmt: skip
    library.vmem_recognise.restype = None
    library.vmem_recognise.argtypes = [POINTER(_Again), POINTER(Eye), c_void_p]
    library.vmem_recognise(byref(again), byref(Eye.of(camera, T_camera_surfels)), address(found, torch.int64))
