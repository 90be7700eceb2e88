"""An analytic box room, independent of the package's own ray caster: the oracle of the memory's tests."""

from __future__ import annotations

import torch

from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.types import View

HALF = torch.tensor([3.0, 2.5, 1.3])
#: A free-standing wall in the plane x = PANEL_X, with |y| and |z| up to PANEL_HALF.
PANEL_X, PANEL_HALF = 1.6, 0.45


def box_view(camera: Camera, T_world_camera: torch.Tensor, *, stamp_ns: int = 0, panel: bool = False) -> View:
    """Return what a camera inside the box ``[-HALF, HALF]`` sees: smooth colours, exact depth.

    :param panel: also put a darker panel into the room, which hides the wall behind it.
    """
    rays = pixel_rays(camera, dtype=torch.float64)
    directions = rays @ T_world_camera[:3, :3].T
    origin = T_world_camera[:3, 3]
    walls = torch.where(directions > 0, HALF, -HALF)
    depth = ((walls - origin) / directions).amin(dim=-1)
    behind = torch.ones_like(depth)
    if panel:
        to_panel = (PANEL_X - origin[0]) / directions[..., 0]
        across = (origin + directions * to_panel[..., None])[..., 1:].abs().amax(dim=-1)
        hit = (to_panel > 0) & (to_panel < depth) & (across < PANEL_HALF)
        depth, behind = torch.where(hit, to_panel, depth), torch.where(hit, 0.4, 1.0)
    points = origin + directions * depth[..., None]
    color = 127 + 60 * torch.sin(points * torch.tensor([2.1, 1.7, 2.9])) + 50 * torch.sin(points.flip(-1) * 5.3 + 1)
    color *= behind[..., None]
    return View(color.clamp(0, 255).round().to(torch.uint8), camera, T_world_camera, depth.float(), stamp_ns=stamp_ns)


def orbit(n: int, *, radius: float = 1.0, height: float = 0.0) -> torch.Tensor:
    """Return ``n`` poses on a circle, each looking outwards past the centre: [n, 4, 4]."""
    angles = torch.arange(n, dtype=torch.float64) * (2 * torch.pi / n)
    eyes = torch.stack([radius * torch.cos(angles), radius * torch.sin(angles), torch.full_like(angles, height)], -1)
    return torch.stack([look_at(e, -3 * e + torch.tensor([0.0, 0.0, -0.3 - 4 * height])) for e in eyes])


def psnr(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor | None = None) -> float:
    """Return the peak signal-to-noise ratio of two uint8 images in dB, over the pixels ``where``."""
    error = (a.double() - b.double()).square()
    error = error if where is None else error[where]
    return float(10 * torch.log10(255**2 / error.mean().clamp(min=1e-9)))
