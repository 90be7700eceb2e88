"""A robot that explores a house: it drives where a rule says, and its camera feeds a world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.planning.drives import Drive, Place
from vmem_ros.planning.seen_space import RANGE_M, SeenSpace
from vmem_ros.scenes import House
from vmem_ros.scenes.trajectories import CLEARANCE_M
from vmem_ros.types import Target
from vmem_ros.world import World


class Explorer:
    """Begins in a room of a house, with one view.

    It never hits anything: drives keep clear of what stands there, as the robot's own sensors would see to. What it
    knows of the house otherwise is what it has seen.

    :param world: an empty one, which remembers what is seen.
    :param seed: of the place where it begins, and of what rules draw at random.
    """

    def __init__(self, house: House, world: World, camera: Camera, *, seed: int) -> None:
        self.world = world
        self.camera = camera
        self.free = house.free_space
        self.rng = np.random.default_rng((house.seed, seed))
        reachable = self.free.reachable(CLEARANCE_M)
        self.seen = SeenSpace(self.free, reachable)
        self._house = house
        places = self.free.centres(reachable)
        at = places[self.rng.integers(len(places))]
        self.place = Place(at, float(self.rng.uniform(-np.pi, np.pi)))
        #: Surface seen after each view, and the poses of all views.
        self.areas_m2: list[float] = []
        self.poses: list[Tensor] = []
        self._look(self.place.pose)

    def follow(self, drive: Drive) -> None:
        """Drive, and look at every pose on the way."""
        for T in drive.poses:
            self._look(T)
        self.place = drive.end

    def targets(self, drive: Drive) -> list[Target]:
        """Return what would be looked at along a drive."""
        return [Target(self.camera, T) for T in drive.poses]

    def _look(self, T_world_camera: Tensor) -> None:
        view = self._house.view(Target(self.camera, T_world_camera))
        assert view.depth is not None, "houses know their depth"
        view = view.having(depth=torch.where(view.depth <= RANGE_M, view.depth, torch.nan))
        self.world.observe(view)
        self.seen.add(view)
        self.areas_m2.append(self.seen.area_m2)
        self.poses.append(T_world_camera)


def route(explorer: Explorer) -> Tensor:
    """Return the poses of all views [N, 4, 4]."""
    poses: Sequence[Tensor] = explorer.poses
    return torch.stack(list(poses))
