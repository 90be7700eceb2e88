"""What a demonstration does: where a real camera looks, and which views are asked for afterwards."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError, RecordingError
from vmem_ros.geometry import Camera
from vmem_ros.pointmaps import GeometryPrior, Scene
from vmem_ros.recordings import Recording
from vmem_ros.scenes.headings import face_open_space, turn_about_vertical
from vmem_ros.scenes.house import HOUSE_FOV_DEG, House
from vmem_ros.showcase.camera_paths import TrajectoryName, trajectory
from vmem_ros.types import Target, View

_ASPECT = 3 / 2
# The robot's camera is low and looks ahead; the views asked for are at eye height and look into the rooms.
_ROBOT_HEIGHT_M, _ROBOT_PITCH = 1.05, 0.0
_ASKED_HEIGHT_M, _ASKED_PITCH = 1.5, -0.15


class RequestedPoses(NamedTuple):
    """Where views are asked for.

    :param path: where it is closed, the last pose is the first.
    :param there_and_back: pose i equals pose n - 1 - i; may be empty.
    """

    path: tuple[Target, ...]
    there_and_back: tuple[Target, ...]


@dataclass(frozen=True, eq=False)
class Scenario:
    """Where a robot looks, and which poses a planner asks for.

    :param robot: where the real camera takes views.
    :param ask: the poses, told the typical depth in metres of the robot's first view as the world knows it: around
        a photo, paths are as long as its scene is deep.
    :param look: what a real camera sees at a target; for a photo it knows the photo's own pose only.
    :param known: whether ``look`` knows the truth at every pose.
    :param has_depth: whether the robot's camera measures depth.
    :param exact: whether its depth is exact and everywhere, so that it tells what nobody has seen.
    :param prior: what may be believed of surfaces that nobody saw.
    :param scene: what pictures without depth show, for estimators that ask.
    :param notes: what a user should know.
    """

    title: str
    robot: tuple[Target, ...]
    ask: Callable[[float], RequestedPoses]
    look: Callable[[Target], View]
    known: bool
    has_depth: bool
    exact: bool
    prior: GeometryPrior
    scene: Scene = "indoors"
    notes: tuple[str, ...] = ()

    def observe(self, target: Target) -> View:
        """Return what the robot's camera sees at a target."""
        view = self.look(target)
        return view if self.has_depth else dataclasses.replace(view, depth=None)

    def truth(self, target: Target) -> View | None:
        """Return what a camera would see at a target, if that is known."""
        return self.look(target) if self.known else None


def house_scenario(
    seed: int,
    *,
    views: int,
    width: int,
    stops: int,
    fov_deg: float = HOUSE_FOV_DEG,
    returns: int = 17,
    has_depth: bool = True,
) -> Scenario:
    """Return a scenario in two rooms of a procedural house, with truth.

    The robot drives through both rooms with its camera 1.05 m above the floor and looks around at every stop; the loop
    goes through both at 1.5 m, looking into them.

    :param views: poses of the loop.
    :param width: of the images, in pixels; their aspect ratio is 3 : 2.
    :param stops: of the robot; at each it looks in three directions.
    :param returns: poses of the path there and back.
    :param has_depth: whether the robot's camera measures depth.
    """
    house = House(seed)
    rooms = house.loop_rooms
    camera = Camera.from_fov(width, round(width / _ASPECT), fov_deg)
    drive = _looking_around(house.drive(stops, rooms=rooms, height=_ROBOT_HEIGHT_M, pitch=_ROBOT_PITCH))
    places = house.loop(views, rooms=rooms, height=_ASKED_HEIGHT_M)
    loop = face_open_space(places, lambda points: house.free_space.at(points) > 0, pitch=_ASKED_PITCH)
    back = house.out_and_back(returns, rooms=rooms, height=_ASKED_HEIGHT_M, pitch=_ASKED_PITCH)
    names = " and ".join(house.rooms[r].name for r in rooms)
    return Scenario(
        title=f"House {seed}: {names}",
        robot=_targets(drive, camera),
        ask=lambda depth_m: RequestedPoses(_targets(loop, camera), _targets(back, camera)),
        look=lambda target: house.view(target, supersample=2),
        known=True,
        has_depth=has_depth,
        exact=has_depth,
        prior="room",
    )


def photo_scenario(photo: View, path: TrajectoryName, *, views: int, title: str, returns: int = 17) -> Scenario:
    """Return a scenario around one photo, without truth elsewhere.

    :param path: shape of the loop, see :func:`~vmem_ros.showcase.camera_paths.trajectory`.
    """
    start = photo.T_world_camera

    def ask(depth_m: float) -> RequestedPoses:
        loop = trajectory(path, start, distance_m=depth_m, n=views)
        back = trajectory("out_and_back", start, distance_m=depth_m, n=returns)
        return RequestedPoses(_targets(loop, photo.camera), _targets(back, photo.camera))

    return Scenario(
        title=title,
        robot=(photo.target,),
        ask=ask,
        look=lambda target: photo,
        known=False,
        has_depth=photo.depth is not None,
        exact=False,
        prior="none",
        scene="auto",
    )


def recording_scenario(recording: Recording, *, views: int | None, has_depth: bool = True) -> Scenario:
    """Return a scenario in which a robot takes every other frame of a recording, and the others are asked for.

    What the real camera saw there is the truth.

    :param views: how many are asked for at most: frames are left out evenly; ``None``: none is left out.
    :param has_depth: whether the robot's depth is used, if the recording has any.
    :raises RecordingError: fewer than two frames, or the first cannot be read.
    """
    if len(recording) < 2:
        raise RecordingError(f"{recording.title} has one frame: one is observed and one asked for, at least")
    step = 1 if views is None else -(-len(recording) // (2 * views))
    chosen = range(0, len(recording), step)
    # Cameras may stand still: of frames at one pose, any is the truth.
    numbers = {_key(recording.targets[i]): i for i in chosen}
    return Scenario(
        title=f"Recording {recording.title}",
        robot=tuple(recording.targets[i] for i in chosen[0::2]),
        ask=lambda depth_m: RequestedPoses(tuple(recording.targets[i] for i in chosen[1::2]), ()),
        look=lambda target: recording[numbers[_key(target)]].view,
        known=True,
        has_depth=has_depth and recording[0].view.depth is not None,
        exact=False,
        prior="none",
        notes=recording.notes,
    )


def _key(target: Target) -> tuple[float, ...]:
    return tuple(target.T_world_camera.flatten().tolist())


def typical_depth(depth: Tensor) -> float:
    """Return the depth in metres that a quarter of what is known of a depth map [H, W] is nearer than.

    What is near decides how far a camera may go before the picture falls apart, however much sky there is.

    :raises InvalidImageError: none is known.
    """
    known = depth[torch.isfinite(depth)]
    if not len(known):
        raise InvalidImageError("nothing is known about the depth of the first view: a path around it needs its scale")
    # Not torch.quantile, which refuses large pictures.
    return float(known.kthvalue(1 + len(known) // 4).values)


def _looking_around(path: Tensor) -> Tensor:
    """Return each pose of a path [n, 4, 4] with two more, turned by 120 degrees to either side: [3 n, 4, 4]."""
    turned = [turn_about_vertical(path, angle) for angle in (0.0, 2 * math.pi / 3, -2 * math.pi / 3)]
    return torch.stack(turned, dim=1).flatten(0, 1)


def _targets(path: Tensor, camera: Camera) -> tuple[Target, ...]:
    return tuple(Target(camera, T) for T in path)
