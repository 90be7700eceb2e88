"""One browser's own camera: where it looks from, and whether somebody has moved it."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import viser
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera, pose_from
from vmem_ros.types import Target
from vmem_ros.viewer.snapshot import vertical_fov

# A drag turns the camera around a point so far ahead, metres.
_PIVOT_M = 0.6
# What a browser says of a place it was sent to differs by rounding.
_SAME = 1e-3
# Nothing is shown nearer than so many times the depth of stored views.
_NEAR = 1.1
# Longer side of previews that fill a window.
_WINDOW_PX = 640
_LENSES_DEG = (10.0, 100.0)


class Flight:
    """The camera of one browser.

    :param camera: the lens of generated views; a window shows as much in height.
    """

    def __init__(self, client: viser.ClientHandle, camera: Camera) -> None:
        self.client = client
        #: What the window shows, as the target of a preview of bounded size.
        self.target = self._seen()
        #: What its window has last been given a picture of; ``None``: it has none.
        self.previewed: tuple[object, ...] | None = None
        #: When the user moved last; seconds of the monotonic clock.
        self.moved_at = -math.inf
        self._sent_to: Tensor | None = None
        low, high = np.deg2rad(_LENSES_DEG)
        client.camera.fov = float(np.clip(vertical_fov(camera), low, high))

    @property
    def pose(self) -> Tensor:
        """Where the browser looks from, ``T_world_camera`` [4, 4] float64."""
        return self.target.T_world_camera

    def go(self, T_world_camera: Tensor) -> None:
        """Look from a pose, upright."""
        self._sent_to = T_world_camera
        eye: NDArray[np.float64] = T_world_camera[:3, 3].numpy()
        with self.client.atomic():
            self.client.camera.up_direction = (0.0, 0.0, 1.0)
            self.client.camera.position = eye
            self.client.camera.look_at = eye + _PIVOT_M * T_world_camera[:3, 2].numpy()

    def look_through(self, depth_m: float) -> None:
        """Show nothing so near: stored views ``depth_m`` deep do not hide what is seen from their places."""
        self.client.camera.near = _NEAR * depth_m

    def moved(self) -> Tensor | None:
        """Return where the user has moved to, once the browser has said where it is; ``None``: where it was sent.

        :raises ArithmeticError: what the browser says is no place; the one before stays.
        :raises ValueError: likewise of a window.
        """
        self.target = self._seen()
        pose = self.pose
        if self._sent_to is not None and looks_alike(pose, self._sent_to):
            return None
        self._sent_to = None
        self.moved_at = time.monotonic()
        return pose

    def was_sent_to(self, T_world_camera: Tensor) -> bool:
        """Return whether this is where it was sent last, and its user has not moved since."""
        return self._sent_to is not None and looks_alike(self._sent_to, T_world_camera)

    def _seen(self) -> Target:
        camera = self.client.camera
        aspect = float(np.clip(camera.aspect, 0.2, 5.0))
        width, height = (_WINDOW_PX, _WINDOW_PX / aspect) if aspect > 1 else (_WINDOW_PX * aspect, _WINDOW_PX)
        focal = height / 2 / math.tan(float(np.clip(camera.fov, *np.deg2rad(_LENSES_DEG))) / 2)
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
        return Target(Camera(K, round(width), round(height)), pose_from(camera.position, camera.wxyz[[1, 2, 3, 0]]))


def looks_alike(A: Tensor, B: Tensor) -> bool:
    """Return whether two poses are at one place and look ahead alike; browsers show pictures upright, without roll."""
    return bool((A[:3, 2:] - B[:3, 2:]).abs().max() < _SAME)
