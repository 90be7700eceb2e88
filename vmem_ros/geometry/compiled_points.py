"""Depth maps and their points, compiled: ``src/kernels/points.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.rays import ray_tangents_32
from vmem_ros.kernels.library import address


def points_of(library: ctypes.CDLL, depth: Tensor, camera: Camera) -> Tensor:
    """Return the points [H, W, 3] of a depth map [H, W] float32 whose unknown pixels are NaN.

    :param camera: without skew.
    """
    depth = depth.contiguous()
    points = torch.empty(*depth.shape, 3)
    x, y = ray_tangents_32(camera)
    library.vmem_points.restype = None
    library.vmem_points.argtypes = [c_void_p, c_int64, c_int64, c_void_p, c_void_p, c_void_p]
    library.vmem_points(
        address(depth, torch.float32), *depth.shape, *(address(each, torch.float32) for each in (x, y, points))
    )
    return points


def known_depth(library: ctypes.CDLL, depth: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`vmem_ros.geometry.depth_maps.known_depth` does, of float32."""
    depth, confidence = depth.contiguous(), confidence.contiguous()
    known, trusted = torch.empty_like(depth), torch.empty_like(depth)
    library.vmem_known.restype = None
    library.vmem_known.argtypes = [c_void_p, c_void_p, c_int64, c_void_p, c_void_p]
    library.vmem_known(
        address(depth, torch.float32), address(confidence, torch.float32), depth.numel(),
        address(known, torch.float32), address(trusted, torch.float32),
    )  # fmt: skip
    return known, trusted


def measured_depth(library: ctypes.CDLL, depth: Tensor, most: float) -> Tensor:
    """Return what :func:`vmem_ros.geometry.depth_maps.measured_depth` does."""
    depth = depth.contiguous()
    measured = torch.empty_like(depth)
    library.vmem_measured.restype = None
    library.vmem_measured.argtypes = [c_void_p, c_int64, c_float, c_void_p]
    library.vmem_measured(address(depth, torch.float32), depth.numel(), most, address(measured, torch.float32))
    return measured


def count_depth(library: ctypes.CDLL, depth: Tensor) -> tuple[int, int]:
    """Return what :func:`vmem_ros.geometry.depth_maps.count_depth` does, of float32."""
    depth = depth.contiguous()
    counts = (c_int64 * 2)()
    library.vmem_count_depth.restype = None
    library.vmem_count_depth.argtypes = [c_void_p, c_int64, c_int64 * 2]
    library.vmem_count_depth(address(depth, torch.float32), depth.numel(), counts)
    return counts[0], counts[1]
