"""Rays through pixel centres, and their Pluecker coordinates."""

import functools

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.poses import invert


def pixel_rays(camera: Camera, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Return [H, W, 3] directions with z = 1 through the pixel centres, optical axes; times z-depth gives points."""
    x, y = (each.expand(camera.size) for each in ray_tangents(camera))
    return torch.stack([x, y, torch.ones_like(x)], dim=-1).to(device=device, dtype=dtype)


def ray_tangents(camera: Camera) -> tuple[Tensor, Tensor]:
    """Return x / z and y / z of the rays through pixel centres, float64: [1, W] (with skew [H, W]) and [H, 1]."""
    K_inverse = torch.linalg.inv(camera.K)
    u = torch.arange(camera.width, dtype=torch.float64) + 0.5
    v = torch.arange(camera.height, dtype=torch.float64)[:, None] + 0.5
    x = u[None] * K_inverse[0, 0] + K_inverse[0, 2]
    skew = float(K_inverse[0, 1])
    return x + v * skew if skew else x, v * K_inverse[1, 1] + K_inverse[1, 2]


@functools.lru_cache(maxsize=16)
def ray_tangents_32(camera: Camera) -> tuple[Tensor, Tensor]:
    """Return :func:`ray_tangents` in float32, of the cameras of late always the same tensors: to read."""
    x, y = ray_tangents(camera)
    return x.float().contiguous(), y.float().contiguous()


def plucker_rays(cameras: list[Camera], T_world_camera: Tensor, *, height: int, width: int) -> Tensor:
    """Return Pluecker coordinates of all views relative to the first camera: [N, 6, height, width] float64.

    Channels 0 to 2 are the unit ray direction d, 3 to 5 the moment ``centre x d``, both in the first camera's optical
    frame. Intrinsics are scaled to the ``height`` x ``width`` grid (the latent grid); pixel centres lie at +0.5.

    :param cameras: N cameras.
    :param T_world_camera: [N, 4, 4].
    """
    T = invert(T_world_camera[:1].to(torch.float64)) @ T_world_camera.to(torch.float64)
    rays = torch.stack([pixel_rays(c.resized(width, height), dtype=torch.float64) for c in cameras])
    directions = torch.nn.functional.normalize(torch.einsum("nij,nhwj->nhwi", T[:, :3, :3], rays), dim=-1)
    centres = T[:, None, None, :3, 3].expand_as(directions)
    moments = torch.linalg.cross(centres, directions)
    return torch.cat([directions, moments], dim=-1).permute(0, 3, 1, 2)
