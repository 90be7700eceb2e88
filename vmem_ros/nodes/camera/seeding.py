"""Live seeding: a real or simulated camera on ``seed/*``, with depth or without, feeds the memory while it moves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.messages.observed_view import observed_view_from_messages
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.synchroniser import Synchroniser
from vmem_ros.nodes.interface.error_codes import as_text
from vmem_ros.nodes.interface.names import create_subscription
from vmem_ros.world import World

# How many messages of each topic wait for the others: images are large, and poses may come at hundreds a second.
_WAITING = {"seed/image": 10, "seed/camera_info": 10, "seed/depth": 10, "seed/pose": 200}
# A message that has waited so long for a nearer one takes the nearest there is.
_PATIENCE_S = 0.5


class Seeding:
    """Takes images with intrinsics, depth and pose that belong together, when the camera has moved enough.

    Images of lenses are rectified first. Without depth (``seed.depth``), the world's estimator finds it.

    While one is written, the newest of those that come waits and the others are skipped.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        unused = set()
        if not core.parameters["seed.depth"]:
            unused.add("seed/depth")
        if core.parameters["seed.pose_source"] != "topic":
            unused.add("seed/pose")
        topics = {topic: depth for topic, depth in _WAITING.items() if topic not in unused}
        self._synchroniser = Synchroniser(
            topics, self._on_set, slop_s=lambda: core.parameters["seed.slop_s"], patience_s=_PATIENCE_S
        )
        for topic in topics:
            create_subscription(core.node, topic, self._receiver(topic), group=core.group)
        core.create_timer("seeding", _PATIENCE_S / 2, self._release)
        self._T_last: Tensor | None = None
        self._busy = False
        self._next: dict[str, Any] | None = None
        self.accepted = 0
        self.skipped = 0
        self.rejected = 0
        self.last_rejection = ""
        core.on_world_change(self._on_world_change)

    def _on_world_change(self, world: World) -> None:
        if not len(world):
            self._T_last = None

    def forget(self) -> None:
        """Start anew: time has jumped back."""
        self._synchroniser.clear()
        self._T_last = self._next = None

    def waits_for(self) -> list[str]:
        """Return the topics of a set that are missing while others come."""
        return self._synchroniser.waits_for()

    def _receiver(self, topic: str) -> Any:
        def receive(message: Any) -> None:
            if self._open:
                self._synchroniser.add(topic, message)

        return self._core.guarded(topic, receive)

    def _release(self) -> None:
        if self._open:
            self._synchroniser.release()

    @property
    def _open(self) -> bool:
        return self._core.active and self._core.worker.state == "ready"

    def _on_set(self, messages: dict[str, Any]) -> None:
        if self._busy:
            self.skipped += self._next is not None
            self._next = messages
            return
        self._busy = True
        self._core.node.executor.create_task(self._drain, messages)

    async def _drain(self, messages: dict[str, Any] | None) -> None:
        try:
            while messages is not None:
                await self._take(messages)
                messages, self._next = self._next, None
        finally:
            self._busy = False

    async def _take(self, messages: dict[str, Any]) -> None:
        core = self._core
        image = messages["seed/image"]
        try:
            stamp_ns = stamp_to_ns(image.header.stamp)
            if "seed/pose" in messages:
                T_world_camera, _ = await core.camera_pose(messages["seed/pose"])
            else:
                T_world_camera = await core.frames.wait_for(
                    image.header.frame_id, stamp_ns, timeout_s=core.parameters["tf_timeout_s"]
                )
            if not self._moved(T_world_camera):
                self.skipped += 1
                return

            def observe(world: World) -> None:
                seen = observed_view_from_messages(
                    image,
                    messages["seed/camera_info"],
                    T_world_camera,
                    depth=messages.get("seed/depth"),
                    rectified=core.parameters["seed.rectified"],
                    stamp_ns=stamp_ns,
                )
                world.observe(seen.view, mask=seen.mask)

            await core.run(observe)
        except Exception as error:
            self.rejected += 1
            self.last_rejection = as_text(core.report("seed/image", error))
            return
        self.accepted += 1
        self._T_last = T_world_camera
        core.rig.place_if_new(T_world_camera, stamp_ns)

    def _moved(self, T_world_camera: Tensor) -> bool:
        if self._T_last is None:
            return True
        p = self._core.parameters
        metres = float(torch.linalg.vector_norm(T_world_camera[:3, 3] - self._T_last[:3, 3]))
        angle = float(geodesic_distance(T_world_camera, self._T_last, translation_weight=0.0))
        return metres >= p["seed.min_translation_m"] or angle >= math.radians(p["seed.min_rotation_deg"])
