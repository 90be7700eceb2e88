"""What a world is asked in a house, from one view: a loop, and a way out and back; and the truth at every pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.evaluation.visibility import unseen_pixels
from vmem_ros.geometry import Camera
from vmem_ros.scenes.house import HOUSE_FOV_DEG, House
from vmem_ros.types import Target, View

PathName = Literal["loop", "out and back"]

# Metres between poses of the way out; turning by a radian counts as 1.2 metres.
_STEP_M = 0.5
_HEIGHT_M, _PITCH_RAD = 1.4, -0.08
_SUPERSAMPLE = 2


@dataclass(frozen=True, eq=False)
class EvaluationPath:
    """One view that is given and the poses that are asked for afterwards.

    :param start: the given view, with depth.
    :param truths: what a camera would see at each pose, with depth; of ``out and back`` pose i equals pose n - 1 - i.
    :param unseen: per pose [H, W] bool: what ``start`` does not see of the house and has to be invented, once.
    """

    name: PathName
    start: View
    truths: tuple[View, ...]
    unseen: tuple[Tensor, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """The poses asked for."""
        return tuple(view.target for view in self.truths)

    @property
    def walked_m(self) -> Tensor:
        """[n] float64: metres from the start to each pose, along the path."""
        places = torch.stack([view.T_world_camera[:3, 3] for view in (self.start, *self.truths)])
        return torch.linalg.vector_norm(places.diff(dim=0), dim=-1).cumsum(dim=0)


def benchmark_paths(house: House, *, poses: int, loop: int, size: int) -> tuple[EvaluationPath, EvaluationPath]:
    """Return the loop and the way out and back in a house.

    The loop goes round the larger of the house's main rooms, turning once or more, and its last pose is the start. The
    way out is a walk towards random places, whatever rooms they lie in, in even steps; the way back has the same poses
    in reverse, the last of the way out first.

    :param poses: on the way out, and as many on the way back.
    :param loop: poses of the loop.
    :param size: of the square pictures, in pixels.
    """
    camera = Camera.from_fov(size, size, HOUSE_FOV_DEG)
    larger = max(house.loop_rooms, key=lambda room: house.rooms[room].area)
    rounds = house.loop(loop + 1, rooms=[larger], height=_HEIGHT_M, pitch=_PITCH_RAD)
    out = house.random_walk(poses + 1, 0, step=_STEP_M, height=_HEIGHT_M, pitch=_PITCH_RAD)
    there, turn = _look(house, camera, rounds[:-1]), _look(house, camera, out)
    return (
        _path("loop", there[0], [*there[1:], there[0]]),
        _path("out and back", turn[0], [*turn[1:], *turn[:0:-1]]),
    )


def _look(house: House, camera: Camera, poses: Tensor) -> list[View]:
    return [house.view(Target(camera, T), supersample=_SUPERSAMPLE) for T in poses]


def _path(name: PathName, start: View, truths: Sequence[View]) -> EvaluationPath:
    return EvaluationPath(name, start, tuple(truths), tuple(unseen_pixels(view, [start]) for view in truths))
