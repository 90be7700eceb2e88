"""Short drives through a house: what a rule chooses among."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.planning.seen_space import SeenSpace
from vmem_ros.scenes import trajectories
from vmem_ros.scenes.freespace import FreeSpace
from vmem_ros.scenes.trajectories import CLEARANCE_M

Array = NDArray[np.float64]
#: Views of a drive, and how far it goes at most.
VIEWS, LENGTH_M = 4, 1.5
_HEIGHT_M, _PITCH_RAD = 1.2, -0.15
_STEP_M = 0.04
_LOOK_AROUND_RAD = 1.5 * math.pi


@dataclass(frozen=True, eq=False)
class Place:
    """Where the robot is: [2] in metres, and its heading in radians."""

    at: Array
    heading: float

    @property
    def pose(self) -> Tensor:
        """``T_world_camera`` [4, 4] of its camera."""
        return _poses(self.at[None], np.array([self.heading]))[0]


@dataclass(frozen=True, eq=False)
class Drive:
    """Poses ``T_world_camera`` [VIEWS, 4, 4] at even steps, and where it ends."""

    poses: Tensor
    end: Place


def drive(place: Place, way: Array, heading: float) -> Drive:
    """Return the drive along the beginning of a polyline [N, 2], turning to a heading all the while."""
    return _drive(place, way, (heading - place.heading + math.pi) % (2 * math.pi) - math.pi)


def look_around(place: Place) -> Drive:
    """Return a turn on the spot by three quarters of a circle."""
    return _drive(place, np.stack([place.at, place.at]), _LOOK_AROUND_RAD)


def _drive(place: Place, way: Array, turn: float) -> Drive:
    gone, share = _gone(way), np.arange(1, VIEWS + 1) / VIEWS
    at = share * min(LENGTH_M, gone[-1])
    position = np.stack([np.interp(at, gone, way[:, k]) for k in (0, 1)], axis=1)
    angle = place.heading + share * turn
    return Drive(_poses(position, angle), Place(position[-1], float(angle[-1])))


def straight(free: FreeSpace, place: Place, direction: float) -> Drive:
    """Return the drive that turns to a direction and goes there as far as the way is free."""
    reach = np.arange(0.0, LENGTH_M + _STEP_M, _STEP_M)[:, None]
    line = place.at + reach * np.array([math.cos(direction), math.sin(direction)])
    clear = np.cumprod(free.at(line) >= CLEARANCE_M).astype(bool)
    clear[0] = True
    return drive(place, line[clear], direction)


def to_frontiers(free: FreeSpace, seen: SeenSpace, place: Place, count: int) -> list[Drive]:
    """Return drives towards the nearest frontiers, nearest first, at most so many; see :meth:`SeenSpace.frontiers`.

    A frontier within reach is looked across; on the way to one that is not, the robot looks ahead.
    """
    found = sorted(seen.frontiers(), key=lambda frontier: float(np.linalg.norm(frontier[0] - place.at)))
    ways: list[tuple[float, Array, float]] = []
    # As the crow flies is not as the robot drives: some more are tried.
    for goal, across in found[: 2 * count]:
        way = np.concatenate([place.at[None], free.path(place.at, goal, radius=CLEARANCE_M)[1:]])
        length = trajectories.length_m(way)
        heading = across
        if length > LENGTH_M:
            ahead = way[int(np.searchsorted(_gone(way), LENGTH_M)) :][:1] - place.at
            heading = float(np.arctan2(ahead[0, 1], ahead[0, 0]))
        ways.append((length, way, heading))
    ways.sort(key=lambda each: each[0])
    return [drive(place, way, heading) for _, way, heading in ways[:count]]


def around(free: FreeSpace, place: Place, count: int, *, first: float) -> list[Drive]:
    """Return straight drives in ``count`` directions at equal angles, from the direction ``first`` on."""
    return [straight(free, place, first + 2 * math.pi * i / count) for i in range(count)]


def _gone(way: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])


def _poses(position: Array, heading: Sequence[float] | Array) -> Tensor:
    return trajectories.poses(position, np.asarray(heading), height=_HEIGHT_M, pitch=_PITCH_RAD)
