"""What a demonstration does: where a real camera looks, and which views are asked for afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.evaluation.facing import face_open_space, turn_about_vertical
from vmem_ros.evaluation.trajectories import TrajectoryName, trajectory
from vmem_ros.geometry import Camera
from vmem_ros.scenes import House
from vmem_ros.types import Target, View

#: Field of view of the cameras in a house, degrees: rooms are small.
HOUSE_FOV_DEG = 75.0
_ASPECT = 3 / 2
# The robot's camera is low and looks ahead; the views asked for are at eye height and look into the rooms.
_ROBOT_HEIGHT_M, _ROBOT_PITCH = 1.05, 0.0
_ASKED_HEIGHT_M, _ASKED_PITCH = 1.5, -0.15


@dataclass(frozen=True, eq=False)
class Tour:
    """A robot's path and a planner's questions.

    :param robot: where the real camera takes views.
    :param loop: poses to ask for; the last is the first.
    :param there_and_back: poses to ask for; pose i equals pose n - 1 - i.
    :param look: what a real camera sees at a target; for a photo it knows the photo's own pose only.
    :param known: whether ``look`` knows the truth at every pose.
    """

    title: str
    robot: tuple[Target, ...]
    loop: tuple[Target, ...]
    there_and_back: tuple[Target, ...]
    look: Callable[[Target], View]
    known: bool

    def truth(self, target: Target) -> View | None:
        """Return what a camera would see at a target, if that is known."""
        return self.look(target) if self.known else None


def house_tour(
    seed: int, *, views: int, width: int, stops: int, fov_deg: float = HOUSE_FOV_DEG, returns: int = 17
) -> Tour:
    """Return a tour of two rooms of a procedural house, with truth.

    The robot drives through both rooms with its camera 1.05 m above the floor and looks around at every stop; the loop
    goes through both at 1.5 m, looking into them.

    :param views: poses of the loop.
    :param width: of the images, in pixels; their aspect ratio is 3 : 2.
    :param stops: of the robot; at each it looks in three directions.
    :param returns: poses of the path there and back.
    """
    house = House(seed)
    rooms = house.loop_rooms
    camera = Camera.from_fov(width, round(width / _ASPECT), fov_deg)
    drive = _looking_around(house.drive(stops, rooms=rooms, height=_ROBOT_HEIGHT_M, pitch=_ROBOT_PITCH))
    places = house.loop(views, rooms=rooms, height=_ASKED_HEIGHT_M)
    loop = face_open_space(places, lambda points: house.free_space.at(points) > 0, pitch=_ASKED_PITCH)
    back = house.out_and_back(returns, rooms=rooms, height=_ASKED_HEIGHT_M, pitch=_ASKED_PITCH)
    names = " and ".join(house.rooms[r].name for r in rooms)
    return Tour(
        title=f"House {seed}: {names}",
        robot=_targets(drive, camera),
        loop=_targets(loop, camera),
        there_and_back=_targets(back, camera),
        look=lambda target: house.view(target, supersample=2),
        known=True,
    )


def photo_tour(
    photo: View, path: TrajectoryName, *, views: int, distance_m: float, title: str, returns: int = 17
) -> Tour:
    """Return a tour around one RGB-D photo, without truth elsewhere.

    :param path: shape of the loop, see :func:`~vmem_ros.evaluation.trajectories.trajectory`.
    :param distance_m: of the scene, e.g. the median depth of the photo.
    """
    start = photo.T_world_camera
    return Tour(
        title=title,
        robot=(photo.target,),
        loop=_targets(trajectory(path, start, distance_m=distance_m, n=views), photo.camera),
        there_and_back=_targets(trajectory("out_and_back", start, distance_m=distance_m, n=returns), photo.camera),
        look=lambda target: photo,
        known=False,
    )


def _looking_around(path: Tensor) -> Tensor:
    """Return each pose of a path [n, 4, 4] with two more, turned by 120 degrees to either side: [3 n, 4, 4]."""
    turned = [turn_about_vertical(path, angle) for angle in (0.0, 2 * math.pi / 3, -2 * math.pi / 3)]
    return torch.stack(turned, dim=1).flatten(0, 1)


def _targets(path: Tensor, camera: Camera) -> tuple[Target, ...]:
    return tuple(Target(camera, T) for T in path)
