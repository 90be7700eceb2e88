"""What an agent does: a motion of its camera, or the pose it wants to see the world from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, get_args

import gymnasium
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vmem_ros.errors import InvalidPoseError, ParameterError
from vmem_ros.fleet.observations import pose_space
from vmem_ros.geometry import pose_from
from vmem_ros.scenes.headings import turn_about_vertical

ActionKind = Literal["motion", "pose"]
# A quaternion that is shorter than this has no direction.
_SHORTEST = 1e-6
# A motion is looked at every few centimetres.
_LONGEST_M = 10.0


class Actions(ABC):
    """Turns an action into the pose that it leads to."""

    space: gymnasium.spaces.Box
    #: Whether the camera goes there, so that things may be in its way; otherwise it is there at once.
    travels: bool

    @abstractmethod
    def pose_after(self, action: ArrayLike, T_world_camera: Tensor) -> Tensor:
        """Return the pose [4, 4] float64 after an action at a pose [4, 4].

        :raises InvalidPoseError: the action is outside its space, not finite, or no pose.
        """


class MotionActions(Actions):
    """[3] float32: metres forward, metres to the left, and radians of a turn to the left, as a robot on a floor moves.

    Forward is level, wherever the camera looks; it moves, then it turns about the vertical.

    :param step_m: the longest motion along each axis.
    :param turn_rad: the largest turn.
    """

    travels = True

    def __init__(self, step_m: float, turn_rad: float) -> None:
        if not (0 < step_m <= _LONGEST_M and 0 < turn_rad <= math.pi):
            raise ParameterError(
                f"step_m must be between 0 and {_LONGEST_M:g} and turn_rad between 0 and pi, got {step_m:g} and "
                f"{turn_rad:g}"
            )
        most = np.array([step_m, step_m, turn_rad], np.float32)
        self.space = gymnasium.spaces.Box(-most, most, dtype=np.float32)

    def pose_after(self, action: ArrayLike, T_world_camera: Tensor) -> Tensor:
        """Return the pose after a motion; see :class:`Actions`."""
        forward, left, turn = _within(self.space, action).tolist()
        ahead = T_world_camera[:2, 2]
        if torch.linalg.vector_norm(ahead) < _SHORTEST:  # looks straight up or down: ahead is where its top points
            ahead = -T_world_camera[:2, 1] * T_world_camera[2, 2].sign().neg()
        x, y = (ahead / torch.linalg.vector_norm(ahead)).tolist()
        out = turn_about_vertical(T_world_camera, turn)
        out[0, 3] += forward * x - left * y
        out[1, 3] += forward * y + left * x
        return out


class PoseActions(Actions):
    """[7] float64: the pose itself, as observations have it. The quaternion may have any length but none."""

    travels = False

    def __init__(self) -> None:
        self.space = pose_space()

    def pose_after(self, action: ArrayLike, T_world_camera: Tensor) -> Tensor:
        """Return the pose that is asked for; see :class:`Actions`."""
        wanted = _within(self.space, action).astype(np.float64)
        length = float(np.linalg.norm(wanted[3:]))
        if length < _SHORTEST:
            raise InvalidPoseError(f"the quaternion {wanted[3:].tolist()} has no direction: give x, y, z, w")
        return pose_from(wanted[:3], wanted[3:] / length)


def actions_of(kind: ActionKind, *, step_m: float, turn_rad: float) -> Actions:
    """Return the actions of a kind; see :class:`MotionActions` for the rest.

    :raises ParameterError: no such kind, or a motion that is none.
    """
    if kind not in get_args(ActionKind):
        raise ParameterError(f"action must be one of {', '.join(get_args(ActionKind))}, got {kind!r}")
    return PoseActions() if kind == "pose" else MotionActions(step_m, turn_rad)


def _within(space: gymnasium.spaces.Box, action: ArrayLike) -> NDArray:
    """Return an action as an array of its space, rounded as numbers of the space are."""
    given = np.asarray(action)
    if given.shape != space.shape or not np.issubdtype(given.dtype, np.number):
        raise InvalidPoseError(f"an action is {space.shape[0]} numbers, got {given.dtype} {list(given.shape)}")
    out = given.astype(space.dtype)
    if not (np.isfinite(out).all() and (out >= space.low).all() and (out <= space.high).all()):
        raise InvalidPoseError(
            f"the action {given.tolist()} is outside {space.low.tolist()} to {space.high.tolist()}: bring it there, or "
            "let gymnasium.wrappers.ClipAction do so"
        )
    return out
