"""Where the camera is told to be: ``pose``, ``path`` and, in streaming mode, a view after every move."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from rclpy.task import Future
from torch import Tensor

from vmem_ros.errors import CancelledError, InvalidPoseError
from vmem_ros.geometry import geodesic_distance, interpolate_poses
from vmem_ros.messages.transforms import camera_from_link
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.path_headings import is_identity, length_of, look_ahead, says_no_heading
from vmem_ros.nodes.camera.pose_list import path_from_bytes
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.camera.shown_places import ShownPlaces
from vmem_ros.types import Target


class PoseCommand:
    """Moves the camera to what comes on ``pose``. The latest wins, also when its transform is the quickest to come."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._received = 0
        self._applied = 0
        core.subscribe("pose", self._on_pose)

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
    chunk in work: planners publish anew while a robot drives, often faster than a chunk is drawn. One that comes within
    ``path.continue_s`` goes on where the one before was.
    """

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._received = 0
        self._applied = 0
        self._journey = 0
        self._heard = -math.inf
        self._shown = ShownPlaces()
        core.on_taken_back(self._shown.forget)
        core.on_forget(self._shown.forget)
        self._waiting: Future | None = None
        core.subscribe("path", self._on_path, raw=True)

    async def _on_path(self, message: bytes) -> None:
        self._received = number = self._received + 1
        last, self._heard = self._heard, time.monotonic()
        self._journey += self._heard - last >= self._core.parameters["path.continue_s"]
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
        request.choose = partial(self._shown.begin, request, self._journey, *self._steps())
        self._waiting = future = self._generation.submit(request)
        self._applied = number
        try:
            await future
        except CancelledError:
            if number == self._applied:
                raise

    async def _poses(self, message: bytes) -> list[Tensor]:
        """Return the poses of the camera link along a path."""
        path = path_from_bytes(message)
        if not len(path):
            raise InvalidPoseError("the path has no poses")
        await self._core.let_others_run()
        links = self._core.raised(await self._core.links_of(path))
        p = self._core.parameters
        (distance_m, angle_rad), max_views = self._steps(), p["path.max_views"]
        heading, given = p["path.heading"], path.quaternions_xyzw
        ahead = heading == "tangent" or (heading == "auto" and says_no_heading(given))
        # Of a path that is refused below anyway, no headings.
        if ahead and length_of(links) < max_views * distance_m:
            links = look_ahead(links, keep_last=heading == "auto" and not is_identity(given[-1]))
            await self._core.let_others_run()
        return sample_path(links, distance_m=distance_m, angle_rad=angle_rad, max_views=max_views)

    def _steps(self) -> tuple[float, float]:
        """Return how far apart views along a path are at most, in metres and radians."""
        p = self._core.parameters
        return p["path.sample_distance_m"], math.radians(p["path.sample_angle_deg"])


def sample_path(poses: Tensor, *, distance_m: float, angle_rad: float, max_views: int) -> list[Tensor]:
    """Return poses along a path, at most ``distance_m`` and ``angle_rad`` apart, its first and last included.

    :param poses: [N, 4, 4], at least one.
    :raises InvalidPoseError: more than ``max_views`` would be needed.
    """
    T = poses
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
    wanted = np.linspace(0, times[-1], count)
    after = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
    # Of a long path, only the poses that samples lie between.
    between = np.unique(np.stack([after - 1, after]).clip(max=len(times) - 1))
    keys = np.flatnonzero(keep)[between]
    return list(interpolate_poses(T[torch.from_numpy(keys)], times[between], wanted))
