"""Depth of planes, and holes in it."""

import torch

from vmem_ros.geometry import Camera, pixel_rays

CAMERA = Camera.from_fov(80, 60, 70)


def plane_depth(normal, distance: float = 2.0) -> torch.Tensor:
    """Return the z-depth [H, W] of the plane ``n . p = distance``."""
    rays = pixel_rays(CAMERA, dtype=torch.float64)
    return (distance / (rays @ torch.tensor(normal, dtype=torch.float64))).float()


def holes(kind: str) -> torch.Tensor:
    mask = torch.zeros(CAMERA.size, dtype=torch.bool)
    if kind == "middle":
        mask[20:40, 30:55] = True
    elif kind == "scattered":
        mask = torch.rand(CAMERA.size, generator=torch.Generator().manual_seed(0)) < 0.6
    elif kind == "right":
        mask[:, 70:] = True
    return mask
