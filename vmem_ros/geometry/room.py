"""The floor, the ceiling and the walls of a room, from depth that shows parts of them.

Rooms are simpler than pictures of them: one floor, one ceiling, upright walls at right angles. So a little depth says
where rays end that nobody has looked along yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.normals import normals_from_points
from vmem_ros.geometry.rays import pixel_rays

#: Distance of a wall where none is known, metres.
FAR_M = 6.0

# Cosines to the vertical: more is a floor or a ceiling, less is upright.
_LEVEL, _UPRIGHT = 0.9, 0.25
# To the axes of the walls.
_ALONG = 0.92
# Floors and ceilings are at least so far from the camera's height, and points so near to them belong to them, metres.
_LEAST_M, _SAME_M = 0.3, 0.06
# Lower is furniture, and higher lamps, metres above the floor.
_WALL_M = (1.0, 2.6)
# The lowest (highest) twentieth of level points is the floor (ceiling), with what is so near to it, metres.
_EXTREME, _SPREAD_M = 0.05, 0.15
_LEAST_PIXELS, _LEAST_IN_COLUMN = 40, 3
# Rays meet nothing nearer, as depth.
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Scene:
    """What depth images show at N poses, in a frame like the world's with its origin at the first of them.

    :param centre: [N, 1, 1, 3]; ``ray`` [N, H, W, 3], its length such that ``centre + depth * ray`` is the point.
    :param point: [N, H, W, 3], NaN where nothing is known, as ``normal``.
    """

    centre: Tensor
    ray: Tensor
    point: Tensor
    normal: Tensor

    @classmethod
    def of(cls, depth: Tensor, cameras: Sequence[Camera], T_world_camera: Tensor) -> Scene:
        # Worlds may lie far from their origin, where float32 knows metres only.
        T = T_world_camera.to(torch.float64, copy=True)
        T[:, :3, 3] -= T_world_camera[0, :3, 3]
        T = T.to(depth)
        rays = torch.stack([pixel_rays(camera, dtype=depth.dtype, device=depth.device) for camera in cameras])
        points = rays * depth[..., None]
        normals = torch.stack([normals_from_points(each) for each in points])
        rotation, centre = T[:, None, None, :3, :3], T[:, None, None, :3, 3]

        def turned(vectors: Tensor) -> Tensor:
            return (rotation @ vectors[..., None]).squeeze(-1)

        return cls(centre, turned(rays), centre + turned(points), turned(normals))


@dataclass(frozen=True, eq=False)
class ManhattanRoom:
    """A room, and what the rays of N images meet of it. Maps are computed when they are asked for.

    :param floor: height of the floor over the first pose, a scalar; NaN: not known. ``ceiling`` that of the ceiling.
    """

    scene: Scene
    floor: Tensor
    ceiling: Tensor

    @classmethod
    def seen_in(cls, depth: Tensor, cameras: Sequence[Camera], T_world_camera: Tensor) -> ManhattanRoom:
        """Return the room that depth images show together.

        :param depth: [N, H, W] z-depth in metres; NaN or infinite: unknown.
        :param cameras: N, of the images' size.
        :param T_world_camera: [N, 4, 4] in a world with z up.
        """
        scene = Scene.of(torch.where(depth.isfinite(), depth, torch.nan).float(), cameras, T_world_camera)
        return cls(scene, _level(scene, above=False), _level(scene, above=True))

    @cached_property
    def to_floor(self) -> Tensor:
        """[N, H, W] depth at which rays meet the floor; +Inf: never."""
        return _to_level(self.scene, self.floor)

    @cached_property
    def to_ceiling(self) -> Tensor:
        """[N, H, W] depth at which rays meet the ceiling; +Inf: never."""
        return _to_level(self.scene, self.ceiling)

    @cached_property
    def to_wall(self) -> Tensor:
        """[N, H, W] depth at which rays meet a wall; +Inf: never."""
        return _to_walls(self.scene, self.floor)

    @property
    def surface(self) -> Tensor:
        """[N, H, W] int64: what rays meet first: 0 the floor, 1 the ceiling, 2 a wall."""
        return self._first.indices

    @property
    def depth(self) -> Tensor:
        """[N, H, W] depth at which rays meet it. Where no wall is known there is one :data:`FAR_M` away."""
        return self._first.values

    @cached_property
    def _first(self) -> torch.return_types.min:
        far = FAR_M / torch.linalg.vector_norm(self.scene.ray[..., :2], dim=-1)
        return torch.stack([self.to_floor, self.to_ceiling, torch.minimum(self.to_wall, far)]).min(dim=0)

    @property
    def is_floor(self) -> Tensor:
        """[N, H, W] bool: pixels that show the floor."""
        return self._is_level(self.floor)

    @property
    def is_ceiling(self) -> Tensor:
        """[N, H, W] bool: pixels that show the ceiling."""
        return self._is_level(self.ceiling)

    def _is_level(self, height: Tensor) -> Tensor:
        # Where there is no normal, at edges, the height decides alone.
        upright = self.scene.normal[..., 2].abs() < _LEVEL
        return ((self.scene.point[..., 2] - height).abs() < _SAME_M) & ~upright


def _level(scene: Scene, *, above: bool) -> Tensor:
    """Return the height of the floor, or of the ceiling; NaN if there is none."""
    height = scene.point[..., 2]
    distance = height - scene.centre[..., 2]
    far = distance > _LEAST_M if above else distance < -_LEAST_M
    found = height[far & (scene.normal[..., 2].abs() > _LEVEL)]
    if len(found) < _LEAST_PIXELS:
        return height.new_tensor(torch.nan)
    found = found.sort(descending=above).values
    extreme = found[int(_EXTREME * len(found))]
    return found[(found - extreme).abs() < _SPREAD_M].median()


def _to_level(scene: Scene, height: Tensor) -> Tensor:
    """Return the depth [N, H, W] at which rays meet a level surface; +Inf: never."""
    return _ahead((height - scene.centre[..., 2]) / scene.ray[..., 2])


def _to_walls(scene: Scene, floor: Tensor) -> Tensor:
    """Return the depth [N, H, W] at which rays meet a wall; +Inf: never.

    Each column of an image has the wall that is seen in it; one that shows none has that to its left or to its right,
    whichever is nearer: rooms are convex. Cameras are about level.
    """
    normal, point = scene.normal, scene.point
    upright = normal[..., 2].abs() < _UPRIGHT
    if int(upright.sum()) < _LEAST_PIXELS:
        return torch.full_like(upright, torch.inf, dtype=point.dtype)
    # Angles modulo 90 degrees have a mean.
    angle = torch.atan2(normal[..., 1], normal[..., 0])[upright]
    turn = torch.atan2((4 * angle).sin().sum(), (4 * angle).cos().sum()) / 4
    axes = torch.stack([torch.stack([turn.cos(), turn.sin()]), torch.stack([-turn.sin(), turn.cos()])])
    base = torch.where(floor.isnan(), scene.centre[..., 2] - _WALL_M[0], floor)
    height = point[..., 2] - base
    of_wall = upright & (height > _WALL_M[0]) & (height < _WALL_M[1])
    along = (normal[..., :2] @ axes.T).abs() > _ALONG
    offset = torch.where(of_wall[..., None] & along, point[..., :2] @ axes.T, torch.nan)
    # [N, H, 3, W, 2]: of each column and its neighbours.
    padded = torch.nn.functional.pad(offset, (0, 0, 1, 1), value=torch.nan)
    width = offset.shape[2]
    beside = torch.stack([padded[:, :, i : i + width] for i in range(3)], dim=2).flatten(1, 2)
    count, axis = beside.isfinite().sum(dim=1).max(dim=-1)
    distance = beside.nanmedian(dim=1).values.gather(-1, axis[..., None]).squeeze(-1)
    known = count >= _LEAST_IN_COLUMN
    column = torch.arange(width, device=point.device).expand_as(known)
    left = torch.where(known, column, -1).cummax(dim=1).values
    right = torch.where(known, column, width).flip(1).cummin(dim=1).values.flip(1)
    meets = []
    for neighbour in (left, right):
        there = (neighbour >= 0) & (neighbour < width)
        index = neighbour.clamp(0, width - 1)
        normal_of = axes[axis.gather(1, index)]  # [N, W, 2]
        away = distance.gather(1, index) - (normal_of * scene.centre[:, 0, :, :2]).sum(dim=-1)
        towards = (scene.ray[..., :2] * normal_of[:, None]).sum(dim=-1)
        meets.append(torch.where(there[:, None], _ahead(away[:, None] / towards), torch.inf))
    return torch.minimum(*meets)


def _ahead(depth: Tensor) -> Tensor:
    return torch.where(depth > _NEAR, depth, torch.inf)
