"""Flying and following: ``cmd_vel`` moves the camera, or a frame of TF carries it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vmem_ros.errors import FrameError, InvalidPoseError
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.names import create_subscription

_PERIOD_S = 1 / 30


class Teleop:
    """Integrates velocities in the camera link's frame; stops when none came for ``teleop.timeout_s``."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._linear = np.zeros(3)
        self._angular = np.zeros(3)
        self._commanded = self._moved = 0.0
        create_subscription(
            core.node,
            "cmd_vel",
            core.guarded("cmd_vel", self._on_twist),
            group=core.group,
            alternative=not core.parameters["teleop.stamped"],
        )
        self._timer = core.create_timer("teleop", _PERIOD_S, self._tick)
        self._timer.cancel()

    def stop(self) -> None:
        """Stand still."""
        self._timer.cancel()

    def _on_twist(self, message: Any) -> None:
        twist = getattr(message, "twist", message)
        linear = np.array([twist.linear.x, twist.linear.y, twist.linear.z])
        angular = np.array([twist.angular.x, twist.angular.y, twist.angular.z])
        if not (np.isfinite(linear).all() and np.isfinite(angular).all()):
            raise InvalidPoseError(f"cmd_vel is not finite: linear {linear.tolist()}, angular {angular.tolist()}")
        self._linear, self._angular = linear, angular
        self._commanded = time.monotonic()
        if self._timer.is_canceled() and self._core.active:
            self._moved = self._commanded
            self._timer.reset()

    def _tick(self) -> None:
        now = time.monotonic()
        idle = not (self._linear.any() or self._angular.any())
        if idle or now - self._commanded > self._core.parameters["teleop.timeout_s"] or not self._core.active:
            self._timer.cancel()
            return
        step = motion(self._linear, self._angular, now - self._moved)
        self._moved = now
        self._core.rig.move(self._core.rig.T_world_link @ step, self._core.unique_stamp_ns())


def motion(linear: np.ndarray, angular: np.ndarray, seconds: float) -> Tensor:
    """Return [4, 4], the motion in the body's own frame after so long at velocities [3] m/s and [3] rad/s.

    Turns about the middle of the step, which is exact to second order.
    """
    T = torch.eye(4, dtype=torch.float64)
    half = Rotation.from_rotvec(angular * seconds / 2)
    T[:3, :3] = torch.from_numpy((half * half).as_matrix())
    T[:3, 3] = torch.from_numpy(half.apply(linear * seconds))
    return T


class Follow:
    """With ``follow_frame`` set, keeps the camera where that frame is, at the preview's rate."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: Why the frame cannot be followed at the moment; empty: it is, or none is set.
        self.problem = ""
        core.create_rate_timer("follow_frame", "preview.rate_hz", self._tick)

    def _tick(self) -> None:
        core = self._core
        frame = core.parameters["follow_frame"]
        self.problem = ""
        if not (frame and core.active):
            return
        try:
            T_world_link = core.frames.lookup(frame, 0)
        except FrameError as error:
            self.problem = str(core.report("follow_frame", error))
            return
        if not torch.equal(T_world_link, core.rig.T_world_link):
            core.rig.move(T_world_link, core.unique_stamp_ns())
