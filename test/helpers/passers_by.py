"""Somebody who walks through a scene: an upright box of one colour that no surface of the houses has."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from vmem_ros.geometry import pixel_rays
from vmem_ros.types import View

#: Half the edges of the box in metres, and its colour.
HALF = torch.tensor([0.25, 0.2, 0.85], dtype=torch.float64)
COLOR = torch.tensor([255, 0, 255], dtype=torch.uint8)


def with_passer_by(view: View, place: Tensor) -> tuple[View, Tensor]:
    """Return the view with the box standing at ``place`` [2] on the floor z = 0, and its mask [H, W] bool.

    A mask as a segmentation gives it: two pixels wider than what is to be seen of the box.
    """
    rays = pixel_rays(view.camera, dtype=torch.float64) @ view.T_world_camera[:3, :3].T
    centre = torch.tensor([float(place[0]), float(place[1]), float(HALF[2])], dtype=torch.float64)
    origin = view.T_world_camera[:3, 3] - centre
    near, far = (torch.stack([(side * HALF - origin) / rays for side in (-1, 1)])).sort(dim=0).values
    enters, leaves = near.amax(dim=-1), far.amin(dim=-1)
    hit = (enters < leaves) & (enters > 0) & (enters < view.depth)
    mask = max_pool2d(hit[None].float(), 5, stride=1, padding=2)[0] > 0
    image = torch.where(hit[..., None], COLOR, view.image)
    seen = dataclasses.replace(view, image=image, depth=torch.where(hit, enters.float(), view.depth))
    return seen, mask


def looks_like_it(colors: Tensor) -> Tensor:
    """Return which colours [..., 3] in 0 ... 255 are more of the box than of anything else: [...] bool."""
    red, green, blue = colors.float().unbind(-1)
    return torch.minimum(red, blue) - green > 60


def stands_there(points: Tensor, places: Tensor) -> Tensor:
    """Return which points [..., 3] of the world lie in the box at one of the places [n, 2], or on it: [...] bool."""
    across = (points[..., None, :2] - places).abs() <= HALF[:2] + 0.1
    return across.all(dim=-1).any(dim=-1) & (points[..., 2] > 0.1) & (points[..., 2] < 2 * HALF[2] + 0.1)


def in_world(view: View, depth: Tensor) -> Tensor:
    """Return the points [H, W, 3] float64 of the world at z-depth [H, W] of a view's camera."""
    points = pixel_rays(view.camera, dtype=torch.float64) * depth.double()[..., None]
    T = view.T_world_camera
    return points @ T[:3, :3].T + T[:3, 3]
