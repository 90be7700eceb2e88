"""Between depth maps, points and pixels."""

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.rays import ray_tangents


def unproject(depth: Tensor, camera: Camera) -> Tensor:
    """Return points [H, W, 3] in the optical frame from z-depth [H, W]; invalid (NaN) depth gives NaN points."""
    x, y = (each.to(device=depth.device, dtype=depth.dtype) for each in ray_tangents(camera))
    points = depth.new_empty(*depth.shape, 3)
    points[..., 0], points[..., 1], points[..., 2] = x * depth, y * depth, depth
    return points


def project(points: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Return (pixels [..., 2] as u, v with centres at +0.5, z-depth [...]) of points [..., 3] in the optical frame.

    Points at or behind the camera plane have no picture: their pixels are NaN.
    """
    K = camera.K.to(device=points.device, dtype=points.dtype)
    z = points[..., 2]
    uv = points[..., :2] / torch.where(z > 0, z, torch.nan)[..., None]
    u = K[0, 0] * uv[..., 0] + K[0, 1] * uv[..., 1] + K[0, 2]
    v = K[1, 1] * uv[..., 1] + K[1, 2]
    return torch.stack([u, v], dim=-1), z


def transform(T: Tensor, points: Tensor) -> Tensor:
    """Return ``T`` [4, 4] applied to points [..., 3], in the points' dtype and device."""
    T = T.to(device=points.device, dtype=points.dtype)
    rotated = torch.addmm(T[:3, 3], points.reshape(-1, 3), T[:3, :3].mT)
    return rotated.view(points.shape)
