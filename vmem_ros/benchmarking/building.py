"""An endless building whose views cost milliseconds: enough of them to fill a memory with millions of surfels.

Rooms of one size with different furniture lie on a square spiral, so that a long walk fills a plane as a real building
does and a camera looks towards many rooms behind its walls. Depth is exact, from rays against boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.types import Target, View

#: Views of the walk in each room.
VIEWS_PER_ROOM = 10

_ROOM_M = (5.0, 5.0, 2.7)
_WALL_M = 0.2
_EYE_HEIGHT_M = 1.3
_STEP_M = 0.9
_FURNITURE = 6
# Successive views look in directions a golden angle apart: any number of them looks all around.
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


class Building:
    """The world frame has z up and the floor at z = 0; the first room is centred on the z axis.

    :param rooms: the walk starts again in the first room after so many; ``None``: it never does.
    """

    def __init__(self, *, rooms: int | None = None) -> None:
        self._rooms = rooms

    def walk(self, camera: Camera, *, start: int = 0) -> Iterator[Target]:
        """Yield targets without end, :data:`VIEWS_PER_ROOM` in each room, from number ``start`` of the walk on."""
        for number in count(start):
            room, look = divmod(number, VIEWS_PER_ROOM)
            yield Target(camera, self._pose(room, look))

    def ask(self, camera: Camera, number: int) -> Target:
        """Return a target near view ``number`` of the walk, where no view was taken: half a metre off, 25 degrees."""
        room, look = divmod(number, VIEWS_PER_ROOM)
        return Target(camera, self._pose(room, look, turned=0.44))

    def view(self, target: Target) -> View:
        """Return what a perfect RGB-D camera in one of the rooms sees."""
        camera, T = target.camera, target.T_world_camera
        cell = (T[:2, 3] / (_ROOM_M[0] + _WALL_M)).round()
        centre = torch.cat([cell * (_ROOM_M[0] + _WALL_M), torch.zeros(1, dtype=torch.float64)])
        # Rays have z = 1 in the optical frame, so the distance along them is z-depth.
        rays = (pixel_rays(camera).view(-1, 3) @ T[:3, :3].float().T).T.contiguous()
        eye = (T[:3, 3] - centre).float()[:, None]
        seed = int(cell[0]) * 7919 + int(cell[1]) * 104729
        depth = _cast(eye, rays, *_furniture(seed))
        image = _paint(eye + rays * depth, seed)
        return View(
            image=image.view(*camera.size, 3), camera=camera, T_world_camera=T, depth=depth.view(camera.size),
            confidence=torch.ones(camera.size), stamp_ns=target.stamp_ns,
        )  # fmt: skip

    def _pose(self, room: int, look: int, *, turned: float = 0.0) -> Tensor:
        lap, room = divmod(room, self._rooms) if self._rooms else (0, room)
        # A new lap looks from new places, in other directions.
        angle = (look + lap * VIEWS_PER_ROOM) * _GOLDEN_ANGLE + 0.37 * lap + turned
        x, y = ((_ROOM_M[0] + _WALL_M) * c for c in _spiral(room))
        eye = (x - _STEP_M * math.cos(1.7 * angle), y - _STEP_M * math.sin(1.7 * angle), _EYE_HEIGHT_M)
        return look_at(eye, (eye[0] + math.cos(angle), eye[1] + math.sin(angle), _EYE_HEIGHT_M - 0.15))


def _spiral(number: int) -> tuple[int, int]:
    """Return the cell of a square spiral around (0, 0)."""
    ring = math.ceil((math.sqrt(number + 1) - 1) / 2)
    if ring == 0:
        return 0, 0
    side, along = divmod(number - (2 * ring - 1) ** 2, 2 * ring)
    x, y = ring, along + 1 - ring
    for _ in range(side):
        x, y = -y, x
    return x, y


def _furniture(seed: int) -> tuple[Tensor, Tensor]:
    """Return boxes along the walls of a room: lowest and highest corners, [3, n] each, around the room's middle."""
    generator = torch.Generator().manual_seed(seed % (1 << 31))
    size = torch.rand(3, _FURNITURE, generator=generator) * torch.tensor([[0.8], [0.5], [1.6]]) + 0.3
    along = (torch.rand(_FURNITURE, generator=generator) - 0.5) * 3.0
    wall = torch.arange(_FURNITURE) % 4
    out = _ROOM_M[0] / 2 - size[1] / 2
    turned, sign = wall % 2 == 1, torch.where(wall < 2, 1.0, -1.0)
    x, y = torch.where(turned, sign * out, along), torch.where(turned, along, sign * out)
    half_x, half_y = torch.where(turned, size[1], size[0]) / 2, torch.where(turned, size[0], size[1]) / 2
    return torch.stack([x - half_x, y - half_y, torch.zeros_like(x)]), torch.stack([x + half_x, y + half_y, size[2]])


def _cast(eye: Tensor, rays: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return how far rays [3, P] go from ``eye`` [3, 1] until a wall or a box (slab method): [P]."""
    room = torch.tensor([[-_ROOM_M[0] / 2, _ROOM_M[0] / 2], [-_ROOM_M[1] / 2, _ROOM_M[1] / 2], [0, _ROOM_M[2]]])
    inverse = 1 / torch.where(rays.abs() < 1e-9, 1e-9, rays)
    distance = torch.maximum((room[:, :1] - eye) * inverse, (room[:, 1:] - eye) * inverse).amin(dim=0)
    for a, b in zip(low.T, high.T, strict=True):
        first, second = (a[:, None] - eye) * inverse, (b[:, None] - eye) * inverse
        near, far = torch.minimum(first, second).amax(dim=0), torch.maximum(first, second).amin(dim=0)
        distance = torch.where((near <= far) & (near > 0), torch.minimum(distance, near), distance)
    return distance


def _paint(points: Tensor, seed: int) -> Tensor:
    """Return a smooth pattern of bands, another in every room, at points [3, P]: [P, 3] uint8."""
    generator = torch.Generator().manual_seed((seed + 1) % (1 << 31))
    wave = torch.randn(3, 3, generator=generator) * 2.5
    fine = torch.randn(3, 3, generator=generator) * 12.0
    level = 0.5 + 0.3 * torch.sin(wave @ points) + 0.12 * torch.sin(fine @ points)
    return (level.T * 255).clamp(0, 255).to(torch.uint8)
