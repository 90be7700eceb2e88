"""An analytic scene under the open sky: ground, a shed on it, and nothing above. The oracle of where no surface is."""

from __future__ import annotations

import dataclasses

import torch

from vmem_ros.geometry import Camera, pixel_rays
from vmem_ros.types import View

#: The shed stands on the ground z = 0 and fills this box, metres.
SHED_LOW, SHED_HIGH = torch.tensor([3.0, -1.5, 0.0]).double(), torch.tensor([5.0, 1.5, 2.4]).double()


def outdoor_view(camera: Camera, T_world_camera: torch.Tensor) -> View:
    """Return what a camera sees: smooth colours and exact depth of ground and shed, blue sky at +Inf."""
    T = T_world_camera.double()
    directions = pixel_rays(camera, dtype=torch.float64) @ T[:3, :3].T
    origin = T[:3, 3]
    ground = -origin[2] / directions[..., 2]
    ground = torch.where(ground > 0, ground, torch.inf)
    first, second = (SHED_LOW - origin) / directions, (SHED_HIGH - origin) / directions
    enters, leaves = torch.minimum(first, second).amax(dim=-1), torch.maximum(first, second).amin(dim=-1)
    shed = torch.where((enters < leaves) & (enters > 0), enters, torch.inf)
    depth = torch.minimum(ground, shed)
    points = torch.where(depth.isfinite()[..., None], origin + directions * depth[..., None], 0.0)
    color = 127 + 60 * torch.sin(points * torch.tensor([1.3, 1.7, 2.9])) + 40 * torch.sin(points.flip(-1) * 3.3 + 1)
    color = torch.where(depth.isfinite()[..., None], color, torch.tensor([120.0, 170.0, 240.0]).double())
    return View(color.clamp(0, 255).round().to(torch.uint8), camera, T_world_camera, depth.float())


def in_world(view: View, T_world_scene: torch.Tensor) -> View:
    """Return a view of a scene that lies in the world at the pose ``T_world_scene`` [4, 4]."""
    return dataclasses.replace(view, T_world_camera=T_world_scene @ view.T_world_camera)
