"""What becomes of one photograph when the camera moves a little: shown, drawn, and how much could have been shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vmem_ros.evaluation.metrics import psnr
from vmem_ros.geometry import invert, project, transform, unproject
from vmem_ros.types import Projection, Target, View
from vmem_ros.world import World

_TURN_DEG, _SIDEWAYS_M, _FORWARD_M = 10.0, 0.15, 0.2


def _moved(*, x: float = 0.0, z: float = 0.0, turn_deg: float = 0.0) -> Tensor:
    """Return [4, 4] float64: a pose in the optical frame, moved along its axes and turned to the right."""
    T = torch.eye(4, dtype=torch.float64)
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    T[0, 0], T[0, 2], T[2, 0], T[2, 2] = cos, sin, -sin, cos
    T[0, 3], T[2, 3] = x, z
    return T


#: Small movements by name, from the photograph's pose, as ``T_photo_camera`` [4, 4].
MOVES: Mapping[str, Tensor] = {
    "its own pose": _moved(),
    f"turned by {_TURN_DEG:g} degrees": _moved(turn_deg=_TURN_DEG),
    f"{100 * _SIDEWAYS_M:g} cm sideways": _moved(x=_SIDEWAYS_M),
    f"{100 * _FORWARD_M:g} cm forward": _moved(z=_FORWARD_M),
}


@dataclass(frozen=True, eq=False)
class Moved:
    """A photograph as it looks from a pose near its own.

    :param shown: by memory alone.
    :param drawn: by the generator.
    :param within: [H, W] bool: the pixels that the photograph's picture covers there, if its surface had no tears.
    """

    shown: Projection
    drawn: View
    within: Tensor

    @property
    def share(self) -> float:
        """Share of all pixels that memory shows."""
        return float(self.shown.seen.float().mean())

    @property
    def share_within(self) -> float:
        """Share of ``within`` that memory shows: less where the surface is torn."""
        return float(self.shown.seen[self.within].float().mean())


def moves(world: World, photo: View) -> Iterator[tuple[str, Moved]]:
    """Begin an empty world with a photograph and yield how it looks after each of :data:`MOVES`.

    What is drawn is not remembered: each is drawn from the photograph alone.

    :raises VmemError: the world is not empty.
    """
    world.seed(photo)
    (stored,) = world.memory.views
    for name, T_photo_camera in MOVES.items():
        target = Target(photo.camera, photo.T_world_camera @ T_photo_camera)
        shown = world.glimpse(target)
        (frame,) = world.explore([target], seed=0, commit=False)
        yield name, Moved(shown, frame.view, _outline(stored, target))


def own_pose_psnr(image: Tensor, photo: View) -> float:
    """Return the PSNR in dB of an image [H, W, 3] uint8 against the photograph; infinite where they are equal."""
    return psnr(image, photo.image)


def _outline(photo: View, target: Target) -> Tensor:
    """Return the pixels of a target [H, W] bool inside the border of a picture whose depth is known."""
    assert photo.depth is not None, "memory stores the depth of the views it shows"
    points = unproject(photo.depth, photo.camera)
    # Round the picture, from its upper left corner; sides share their corners.
    sides = (points[0], points[:, -1], points[-1].flip(0), points[:, 0].flip(0))
    border = torch.cat([side[torch.isfinite(side).all(dim=-1)] for side in sides]).double()
    pixels, depth = project(transform(invert(target.T_world_camera) @ photo.T_world_camera, border), target.camera)
    # What the camera has passed is outside; OpenCV's pixels have their centres at integers.
    corners = (pixels[depth > 0] - 0.5).round().to(torch.int32).numpy()
    inside = np.zeros(target.camera.size, np.uint8)
    cv2.fillPoly(inside, [corners], 1)
    return torch.from_numpy(inside > 0)
