"""Depth as a sensor measured it, cleaned, compiled: ``src/kernels/depth.cpp``."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.geometry.depth_noise import LEAST_COSINE, DepthNoise
from vmem_ros.geometry.one_surface import DEVIATIONS
from vmem_ros.kernels.library import address, threads


class _Sensor(Structure):
    _fields_ = [
        (name, c_float) for name in ("floor_m", "triangulation", "light", "spread", "least_cosine", "deviations")
    ]


class _Cleaning(Structure):
    _fields_ = [
        ("remove_flying", c_int64),
        ("flying_tangent", c_float),
        ("flatter", c_float),
        ("fewest", c_int64),
        ("widest", c_int64),
        ("rounds", c_int64),
        ("gap_tangent", c_float),
        ("cell", c_int64),
        ("pose_sigma", c_float),
        ("least", c_float),
        ("closed", c_float),
        ("same_surface", c_float),
    ]


def clean_depth(
    library: ctypes.CDLL, depth: Tensor, camera: Camera, noise: DepthNoise, constants: Mapping[str, float]
) -> tuple[Tensor, Tensor]:
    """Return depth and confidence [H, W]; see :func:`vmem_ros.pointmaps.sensor_cleaning.clean_depth`.

    :param constants: by the names of the kernel's.
    """
    depth = depth.contiguous()
    cleaned, confidence = torch.empty_like(depth), torch.empty_like(depth)
    sensor = _Sensor(noise.floor_m, noise.triangulation, noise.light, noise.spread, LEAST_COSINE, DEVIATIONS)
    library.vmem_clean_depth.restype = None
    library.vmem_clean_depth.argtypes = [
        c_void_p, c_int64, c_int64, c_float, c_float, c_float, c_float,
        POINTER(_Sensor), POINTER(_Cleaning), c_void_p, c_void_p, c_int64,
    ]  # fmt: skip
    library.vmem_clean_depth(
        address(depth, torch.float32), camera.height, camera.width, camera.fx, camera.fy, camera.cx, camera.cy,
        byref(sensor), byref(_Cleaning(**constants)), address(cleaned, torch.float32),
        address(confidence, torch.float32), threads(),
    )  # fmt: skip
    return cleaned, confidence
