"""Stamps of poses, by which their views are found again."""

from __future__ import annotations

import threading
from typing import TypeAlias

from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.clock import Clock
from torch import Tensor

from vmem_ros.geometry import as_pose
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.interface.rclpy_messages import header, ns_to_stamp, pose_to_message

#: A pose: [4, 4] ``T_world_camera`` (optical axes), or a ``PoseStamped`` of the camera link in any frame TF knows.
PoseLike: TypeAlias = Tensor | NDArray | PoseStamped

_JUMP_NS = 1_000_000_000


class PoseStamps:
    """Gives poses stamps of their own, each later than the one before; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ns = 0
        #: Of poses that are given as matrices; empty, which the camera node takes for the world's, until it is known.
        self.world_frame = ""

    def stamped(self, pose: PoseLike) -> PoseStamped:
        """Return a pose of the link; a stamp that is given already stays.

        :raises InvalidPoseError: no pose.
        """
        if not isinstance(pose, PoseStamped):
            link = link_from_camera(as_pose(pose))
            pose = PoseStamped(header=header(self.world_frame, 0), pose=pose_to_message(link))
        if stamp_to_ns(pose.header.stamp) == 0:
            pose = PoseStamped(header=header(pose.header.frame_id, 0), pose=pose.pose)
            pose.header.stamp = ns_to_stamp(self._next_ns())
        return pose

    def _next_ns(self) -> int:
        with self._lock:
            now = self._clock.now().nanoseconds
            # They rise, but where time has jumped back they start from there.
            jumped = now < self._last_ns - _JUMP_NS
            self._last_ns = now if jumped else max(now, self._last_ns + 1)
            return self._last_ns
