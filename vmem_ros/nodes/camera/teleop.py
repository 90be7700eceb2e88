"""Flying and following: ``cmd_vel`` moves the camera, or a frame of TF carries it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from vmem_ros.errors import FrameError, InvalidPoseError
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.frame_doubts import doubt_of_link
from vmem_ros.nodes.camera.inputs import Problem
from vmem_ros.nodes.interface.names import SUBSCRIBED, message_type_name
from vmem_ros.nodes.interface.subscription import EitherType

_PERIOD_S = 1 / 30
_LOOK_S = 0.5


class Teleop:
    """Integrates velocities in the camera link's frame; stops when none came for ``teleop.timeout_s``, or when the
    camera is put somewhere else: the latest command wins, whatever its kind.

    Hears Twist or TwistStamped, whichever is published, and no more than ``teleop.max_speed_m_s`` and
    ``teleop.max_turn_deg_s`` of it.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._linear = np.zeros(3)
        self._angular = np.zeros(3)
        self._commanded = self._moved = 0.0
        self._left_at = core.rig.T_world_link
        subscribed = core.subscribe("cmd_vel", self._on_twist)
        topic = SUBSCRIBED["cmd_vel"]
        types = {message_type_name(kind): kind for kind in (topic.type, topic.alternative)}
        core.create_timer("cmd_vel", _LOOK_S, EitherType(core.node, subscribed, types).look)
        self._timer = core.create_timer("teleop", _PERIOD_S, self._tick)
        self._timer.cancel()

    def stop(self) -> None:
        """Stand still."""
        self._timer.cancel()

    def _on_twist(self, message: Any) -> None:
        self._core.require_active()
        twist = getattr(message, "twist", message)
        linear = np.array([twist.linear.x, twist.linear.y, twist.linear.z])
        angular = np.array([twist.angular.x, twist.angular.y, twist.angular.z])
        if not (np.isfinite(linear).all() and np.isfinite(angular).all()):
            raise InvalidPoseError(f"cmd_vel is not finite: linear {linear.tolist()}, angular {angular.tolist()}")
        p = self._core.parameters
        self._linear = limited(linear, p["teleop.max_speed_m_s"])
        self._angular = limited(angular, math.radians(p["teleop.max_turn_deg_s"]))
        if not (self._linear is linear and self._angular is angular):
            self._core.node.get_logger().warning(
                f"cmd_vel: linear {linear.tolist()} m/s, angular {angular.tolist()} rad/s is faster than "
                f"teleop.max_speed_m_s = {p['teleop.max_speed_m_s']:g} or teleop.max_turn_deg_s = "
                f"{p['teleop.max_turn_deg_s']:g}: slowed down",
                throttle_duration_sec=5.0,
            )
        self._commanded = time.monotonic()
        if self._timer.is_canceled() and self._core.active:
            self._moved, self._left_at = self._commanded, self._core.rig.T_world_link
            self._timer.reset()

    def _tick(self) -> None:
        now, core = time.monotonic(), self._core
        idle = not (self._linear.any() or self._angular.any())
        elsewhere = core.rig.T_world_link is not self._left_at
        if idle or elsewhere or now - self._commanded > core.parameters["teleop.timeout_s"] or not core.active:
            self._timer.cancel()
            return
        step = motion(self._linear, self._angular, now - self._moved)
        core.rig.move(core.rig.T_world_link @ step, core.unique_stamp_ns())
        self._moved, self._left_at = now, core.rig.T_world_link


def limited(velocity: np.ndarray, most: float) -> np.ndarray:
    """Return a finite velocity [3], shortened to a length of ``most`` where it is longer, else itself."""
    largest = float(np.abs(velocity).max())
    if largest <= most / math.sqrt(len(velocity)):
        return velocity
    scaled = velocity / largest  # the square of what is absurdly fast overflows
    length = float(np.linalg.norm(scaled))
    return velocity if length * largest <= most else scaled * (most / length)


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
    """With ``follow_frame`` set, keeps the camera where that frame is, at the preview's rate.

    The camera's pose has the stamp of the transform, and so have the images: both agree, however late they are.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        #: Why the frame cannot be followed at the moment, or what looks wrong with it; empty: nothing, or none is set.
        self.problem = ""
        self._doubted = ""
        self._commands = 0
        core.inputs.watch(self._overruled)
        core.create_rate_timer("follow_frame", "preview.rate_hz", self._tick)

    def _tick(self) -> None:
        core = self._core
        frame = core.parameters["follow_frame"]
        if not (frame and core.active):
            self.problem = ""
            core.rig.followed = False
            return
        try:
            T_world_link, stamp_ns = core.frames.newest(frame)
        except FrameError as error:
            self.problem = str(core.report("follow_frame", error))
            return
        self.problem = doubt_of_link(frame, T_world_link)
        if self.problem and frame != self._doubted:
            self._doubted = frame
            core.node.get_logger().warning(f"follow_frame: {self.problem}")
        core.rig.follow(T_world_link, stamp_ns or core.unique_stamp_ns())

    def _overruled(self) -> Iterable[Problem]:
        """Yield that commands come although a frame carries the camera."""
        before, self._commands = self._commands, sum(self._core.inputs.count(name) for name in ("pose", "cmd_vel"))
        frame = self._core.parameters["follow_frame"]
        if frame and not self.problem and self._commands > before:
            yield (
                "follow_frame",
                f"pose or cmd_vel moves the camera, and follow_frame = {frame!r} takes it back at once: stop "
                "publishing, or set follow_frame to ''",
            )
