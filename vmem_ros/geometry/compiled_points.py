"""The points of a depth map, compiled: ``src/kernels/points.cpp``."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.rays import ray_tangents
from vmem_ros.kernels.library import address


def points_of(library: ctypes.CDLL, depth: Tensor, confidence: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Return points [H, W, 3] and confidence [H, W]; see :meth:`vmem_ros.types.PointMap.from_depth`.

    :param depth: [H, W] float32, and ``confidence`` likewise.
    :param camera: without skew.
    """
    depth, confidence = depth.contiguous(), confidence.contiguous()
    points, known = torch.empty(*depth.shape, 3), torch.empty_like(depth)
    x, y = (each.float().contiguous() for each in ray_tangents(camera))
    library.vmem_points.restype = None
    library.vmem_points.argtypes = [c_void_p, c_void_p, c_int64, c_int64, *[c_void_p] * 4]
    library.vmem_points(
        address(depth, torch.float32), address(confidence, torch.float32), *depth.shape,
        *(address(each, torch.float32) for each in (x, y, points, known)),
    )  # fmt: skip
    return points, known
