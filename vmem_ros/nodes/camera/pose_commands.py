"""Where the camera is told to be: ``pose``, ``path`` and, in streaming mode, a view after every move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from rclpy.task import Future
from torch import Tensor

from vmem_ros.errors import CancelledError, InvalidPoseError
from vmem_ros.geometry import geodesic_distance, interpolate_poses
from vmem_ros.messages.transforms import camera_from_link
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.interface.names import create_subscription
from vmem_ros.types import Target


class PoseCommand:
    """Moves the camera to what comes on ``pose``. The latest wins, also when its transform is the quickest to come."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._received = 0
        self._applied = 0
        create_subscription(core.node, "pose", core.guarded("pose", self._on_pose), group=core.group)

    async def _on_pose(self, message: Any) -> None:
        self._received = number = self._received + 1
        T_world_link, stamp_ns = await self._core.link_pose(message)
        if number > self._applied:
            self._applied = number
            self._core.rig.move(self._core.raised(T_world_link), stamp_ns or self._core.unique_stamp_ns())


class Streaming:
    """In streaming mode, generates where the camera is after it moved; poses that come meanwhile replace each other."""

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._running = False
        self._moved = False
        if core.parameters["camera.mode"] == "streaming":
            core.rig.on_move(self._on_move)

    def _on_move(self) -> None:
        self._moved = True
        if not self._running and self._core.active:
            self._running = True
            self._core.node.executor.create_task(self._core.guarded("streaming", self._drain))

    async def _drain(self) -> None:
        try:
            while self._moved:
                self._moved = False
                rig = self._core.rig
                target = rig.target(rig.camera, rig.stamp_ns)
                await self._generation.submit(Request([target], self._core.epoch, seed=self._generation.seed(-1)))
        finally:
            self._running = False


class PathCommand:
    """Generates along what comes on ``path``. A newer path replaces one that waits, and one that is drawn after the
    chunk in work: planners publish anew while a robot drives, often faster than a chunk is drawn.
    """

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._received = 0
        self._applied = 0
        self._waiting: Future | None = None
        create_subscription(core.node, "path", core.guarded("path", self._on_path), group=core.group)

    async def _on_path(self, message: Any) -> None:
        self._received = number = self._received + 1
        poses = await self._poses(message)
        if number < self._applied:
            return
        core = self._core
        targets = [Target(core.rig.camera, camera_from_link(T), core.unique_stamp_ns()) for T in poses]
        if self._waiting is not None:
            core.worker.cancel(self._waiting)
        request = Request(
            targets, core.epoch, seed=self._generation.seed(-1), superseded=lambda: number < self._applied
        )
        self._waiting = future = self._generation.submit(request)
        self._applied = number
        try:
            await future
        except CancelledError:
            if number == self._applied:
                raise

    async def _poses(self, message: Any) -> list[Tensor]:
        """Return the poses of the camera link along a path."""
        if not message.poses:
            raise InvalidPoseError("the path has no poses")
        links = []
        for stamped in message.poses:
            # Plans often fill only the header of the whole path.
            stamped.header.frame_id = stamped.header.frame_id or message.header.frame_id
            links.append(self._core.raised((await self._core.link_pose(stamped))[0]))
        p = self._core.parameters
        return sample_path(
            links,
            distance_m=p["path.sample_distance_m"],
            angle_rad=math.radians(p["path.sample_angle_deg"]),
            max_views=p["path.max_views"],
        )


def sample_path(poses: list[Tensor], *, distance_m: float, angle_rad: float, max_views: int) -> list[Tensor]:
    """Return poses along a path, at most ``distance_m`` and ``angle_rad`` apart, its first and last included.

    :param poses: [4, 4] each, at least one.
    :raises InvalidPoseError: more than ``max_views`` would be needed.
    """
    T = torch.stack(poses)
    if len(T) == 1:
        return [T[0]]
    metres = torch.linalg.vector_norm(T[1:, :3, 3] - T[:-1, :3, 3], dim=-1)
    angle = geodesic_distance(T[1:], T[:-1], translation_weight=0.0)
    effort = torch.maximum(metres / distance_m, angle / angle_rad).numpy()
    keep = np.concatenate([[True], effort > 1e-9])
    times = np.concatenate([[0.0], np.cumsum(effort)])[keep]
    count = math.ceil(times[-1] - 1e-9) + 1
    if count > max_views:
        raise InvalidPoseError(
            f"the path needs {count} views, path.max_views is {max_views}: raise it, path.sample_distance_m or "
            "path.sample_angle_deg"
        )
    return list(interpolate_poses(T[torch.from_numpy(keep)], times, np.linspace(0, times[-1], count)))
