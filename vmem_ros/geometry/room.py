"""The floor, the ceiling and the walls of a room, from depth that shows parts of them.

Rooms are simpler than pictures of them: one floor, one ceiling, upright walls at right angles. So a little depth says
where rays end that nobody has looked along yet. That is a prior, and true of rooms alone: what shows no floor, no
ceiling or no wall, or a sky, is no room, and nothing is claimed of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.posed_points import Direction, PosedPoints
from vmem_ros.geometry.walls import Walls

#: Up in a ROS world.
UP: Direction = (0.0, 0.0, 1.0)

# Cosine to the vertical: more is a floor or a ceiling.
_LEVEL = 0.9
# Floors and ceilings are at least so far from the camera's height, and points so near to them belong to them, metres.
_LEAST_M, _SAME_M = 0.3, 0.06
# The lowest (highest) twentieth of level points is the floor (ceiling), with what is so near to it, metres.
_EXTREME, _SPREAD_M = 0.05, 0.15
_LEAST_PIXELS = 40
# Nothing farther away is claimed, metres along the floor; and without a wall in its direction, nothing farther than ...
_REACH_M, _AROUND_M = 6.0, 1.5
# More of what the depth says is sky: no room.
_MOST_SKY = 0.02
# Rays meet nothing nearer, as depth.
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class ManhattanRoom:
    """A room, and what the rays of N images meet of it. Maps are computed when they are asked for.

    :param floor: height of the floor over the first pose, a scalar; NaN: not known. ``ceiling`` that of the ceiling.
    :param walls: ``None``: none is known.
    :param sky: share of the depth that is known which is infinite.
    """

    points: PosedPoints
    floor: Tensor
    ceiling: Tensor
    walls: Walls | None
    sky: float

    @classmethod
    def seen_in(
        cls, depth: Tensor, cameras: Sequence[Camera], T_world_camera: Tensor, *, up: Direction | None = UP
    ) -> ManhattanRoom:
        """Return the room that depth images show together, however the cameras are tilted.

        :param depth: [N, H, W] z-depth in metres; NaN unknown, +Inf nothing there.
        :param cameras: N, of the images' size.
        :param T_world_camera: [N, 4, 4].
        :param up: which way is up in the world; ``None``: nobody knows, and there is no room.
        :raises ValueError: ``up`` is no direction.
        """
        if up is None:
            depth, up = torch.full_like(depth, torch.nan), UP
        sky = float(depth.isinf().sum() / (~depth.isnan()).sum().clamp(min=1))
        finite = torch.where(depth.isfinite(), depth, torch.nan).float()
        points = PosedPoints.of(finite, cameras, T_world_camera, up=up)
        floor = _level(points, above=False)
        walls = Walls.seen_in(points, floor, cameras[0].fx)
        return cls(points, floor, _level(points, above=True), walls, sky)

    @property
    def applies(self) -> bool:
        """Whether it is a room: floor, ceiling and a wall are known, and no sky."""
        known = bool(self.floor.isfinite() & self.ceiling.isfinite())
        return known and self.walls is not None and bool(self.walls.known.any()) and self.sky <= _MOST_SKY

    @cached_property
    def to_floor(self) -> Tensor:
        """[N, H, W] depth at which rays meet the floor; +Inf: never."""
        return self._to_level(self.floor)

    @cached_property
    def to_ceiling(self) -> Tensor:
        """[N, H, W] depth at which rays meet the ceiling; +Inf: never."""
        return self._to_level(self.ceiling)

    @cached_property
    def to_wall(self) -> Tensor:
        """[N, H, W] depth at which rays meet a wall; +Inf: no wall is known that they meet."""
        if self.walls is None:
            return torch.full_like(self.points.ray[..., 2], torch.inf)
        return self.walls.met_by(self.points)

    @property
    def depth(self) -> Tensor:
        """[N, H, W] depth at which rays meet the room first; NaN where it does not say, or does not apply."""
        if not self.applies:
            return torch.full_like(self.to_wall, torch.nan)
        first = torch.stack([self.to_floor, self.to_ceiling, self.to_wall]).amin(dim=0)
        reach = torch.where(self.to_wall.isfinite(), _REACH_M, _AROUND_M)
        return torch.where(first * self._along_floor < reach, first, torch.nan)

    @property
    def surface(self) -> Tensor:
        """[N, H, W] int64: what rays would show: 0 the floor, 1 the ceiling, 2 a wall.

        For colours alone: it has an answer everywhere. What nobody knows, and what is far away, looks like a wall.
        """
        far = _REACH_M / self._along_floor
        return torch.stack([self.to_floor, self.to_ceiling, torch.minimum(self.to_wall, far)]).argmin(dim=0)

    @property
    def is_floor(self) -> Tensor:
        """[N, H, W] bool: pixels that show the floor."""
        return self._is_level(self.floor)

    @property
    def is_ceiling(self) -> Tensor:
        """[N, H, W] bool: pixels that show the ceiling."""
        return self._is_level(self.ceiling)

    @cached_property
    def _along_floor(self) -> Tensor:
        """[N, H, W] metres along the floor per metre of depth."""
        return torch.linalg.vector_norm(self.points.ray[..., :2], dim=-1)

    def _to_level(self, height: Tensor) -> Tensor:
        depth = (height - self.points.centre[..., 2]) / self.points.ray[..., 2]
        return torch.where(depth > _NEAR, depth, torch.inf)

    def _is_level(self, height: Tensor) -> Tensor:
        # Where there is no normal, at edges, the height decides alone.
        upright = self.points.normal[..., 2].abs() < _LEVEL
        return ((self.points.point[..., 2] - height).abs() < _SAME_M) & ~upright


def _level(points: PosedPoints, *, above: bool) -> Tensor:
    """Return the height of the floor, or of the ceiling; NaN if there is none."""
    height = points.point[..., 2]
    distance = height - points.centre[..., 2]
    far = distance > _LEAST_M if above else distance < -_LEAST_M
    found = height[far & (points.normal[..., 2].abs() > _LEVEL)]
    if len(found) < _LEAST_PIXELS:
        return height.new_tensor(torch.nan)
    found = found.sort(descending=above).values
    extreme = found[int(_EXTREME * len(found))]
    return found[(found - extreme).abs() < _SPREAD_M].median()
