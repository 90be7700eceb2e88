"""Upright walls at right angles, from depth that shows parts of them, and where other rays meet them.

Every camera looks around itself by azimuth, whichever way it is tilted: in each direction there is the wall that it
sees there. A direction in which it sees none has the wall next to it on the left or on the right, whichever is nearer,
for rooms are convex.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry.posed_points import PosedPoints

# Cosine of a wall's normal to the vertical, at most, and to an axis of the room, at least.
_UPRIGHT, _ALONG = 0.25, 0.92
# Lower is furniture, and higher lamps, metres above the floor.
_WALL_M = (1.0, 2.6)
# A wall is believed from so many pixels on, in all and in one direction with those next to it.
_LEAST_PIXELS, _LEAST_IN_DIRECTION = 40, 3
# A direction has the walls of others that are nearer than this (radians).
_BESIDE = math.pi / 2
# Rays meet nothing nearer, as depth.
_NEAR = 0.05
_NEVER = 10**9


@dataclass(frozen=True, eq=False)
class Walls:
    """The walls that N cameras see, by azimuth: B directions around each.

    :param axes: [2, 2] horizontal unit normals of walls, one a row.
    :param axis: [N, B] int64: which of them the wall has that is seen in a direction.
    :param offset: [N, B] distance of that wall from the origin along its normal.
    :param known: [N, B] bool: there is one.
    """

    axes: Tensor
    axis: Tensor
    offset: Tensor
    known: Tensor

    @classmethod
    def seen_in(cls, points: PosedPoints, floor: Tensor, focal_px: float) -> Walls | None:
        """Return the walls that depth images show; ``None`` where they show hardly any.

        :param floor: height of the floor, a scalar; NaN: not known.
        :param focal_px: so many directions fall on a radian.
        """
        upright = points.normal[..., 2].abs() < _UPRIGHT
        if int(upright.sum()) < _LEAST_PIXELS:
            return None
        axes = _axes(points.normal[upright])
        height = points.point[..., 2] - torch.where(floor.isnan(), points.centre[..., 2] - _WALL_M[0], floor)
        of_wall = upright & (height > _WALL_M[0]) & (height < _WALL_M[1])
        along = (points.normal[..., :2] @ axes.T).abs() > _ALONG
        count = math.ceil(2 * math.pi * focal_px)
        image, row, column, axis = (of_wall[..., None] & along).nonzero().unbind(1)
        offset = (points.point[image, row, column, :2] * axes[axis]).sum(dim=-1)
        direction = _direction(points.ray, count)[image, row, column]
        cells = torch.cat([(image * count + (direction + beside) % count) * 2 + axis for beside in (-1, 0, 1)])
        pixels, median = _medians(offset.repeat(3), cells, len(points.ray) * count * 2)
        pixels, median = (each.view(-1, count, 2) for each in (pixels, median))
        most, best = pixels.max(dim=-1)
        return cls(axes, best, median.gather(-1, best[..., None]).squeeze(-1), most >= _LEAST_IN_DIRECTION)

    def met_by(self, points: PosedPoints) -> Tensor:
        """Return the depth [N, H, W] at which rays meet a wall; +Inf: none is known that they meet.

        :param points: of the N cameras; their rays are asked.
        """
        count = self.known.shape[1]
        towards = _direction(points.ray, count).flatten(1)
        meets = []
        for number, gap in _neighbours(self.known):
            near = gap.gather(1, towards) < _BESIDE * count / (2 * math.pi)
            of_ray = number.gather(1, towards)
            normal = self.axes[self.axis.gather(1, of_ray)].view(*points.ray.shape[:3], 2)
            offset = self.offset.gather(1, of_ray).view(points.ray.shape[:3])
            away = offset - (normal * points.centre[..., :2]).sum(dim=-1)
            depth = away / (normal * points.ray[..., :2]).sum(dim=-1)
            meets.append(torch.where(near.view_as(depth) & (depth > _NEAR), depth, torch.inf))
        return torch.minimum(*meets)


def _axes(normals: Tensor) -> Tensor:
    """Return the two horizontal directions [2, 2] along which most of the normals [n, 3] point."""
    # Angles modulo 90 degrees have a mean.
    angle = 4 * torch.atan2(normals[:, 1], normals[:, 0])
    turn = torch.atan2(angle.sin().sum(), angle.cos().sum()) / 4
    return torch.stack([torch.stack([turn.cos(), turn.sin()]), torch.stack([-turn.sin(), turn.cos()])])


def _direction(rays: Tensor, count: int) -> Tensor:
    """Return the azimuths of rays [..., 3] as numbers [...] int64 of ``count`` directions all around."""
    turns = torch.atan2(rays[..., 1], rays[..., 0]) / (2 * math.pi) + 0.5
    return (turns * count).long().clamp(0, count - 1)


def _medians(values: Tensor, cells: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return how many of the values [n] are in each of ``count`` cells, and their lower median; NaN where none is."""
    order = values.argsort()
    order = order[cells[order].argsort(stable=True)]
    found = torch.bincount(cells, minlength=count)
    filled = found > 0
    median = values.new_full((count,), torch.nan)
    median[filled] = values[order[(found.cumsum(0) - found + (found - 1) // 2)[filled]]]
    return found, median


def _neighbours(known: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the next known direction to either side of each: its number [N, B], and how far it is in directions.

    A known direction is next to itself. Azimuth has no ends.
    """
    count = known.shape[1]
    index = torch.arange(3 * count, device=known.device).expand(len(known), -1)
    own, thrice = index[:, count : 2 * count], known.repeat(1, 3)
    before = torch.where(thrice, index, -_NEVER).cummax(dim=1).values[:, count : 2 * count]
    after = torch.where(thrice, index, _NEVER).flip(1).cummin(dim=1).values.flip(1)[:, count : 2 * count]
    return [(each % count, (each - own).abs()) for each in (before, after)]
