"""Live seeding: a real or simulated camera on ``seed/*``, with depth or without, feeds the memory while it moves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import FrameError
from vmem_ros.geometry import geodesic_distance
from vmem_ros.messages.observed_view import observed_view_from_messages
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.frame_doubts import doubt_of_optical
from vmem_ros.nodes.camera.inputs import Problem
from vmem_ros.nodes.camera.observing import Observing
from vmem_ros.nodes.camera.seed_watch import DEPTH, IMAGE, INFO, MASK, POSE, SeedWatch
from vmem_ros.nodes.camera.synchroniser import Synchroniser
from vmem_ros.nodes.interface.error_codes import as_text
from vmem_ros.world import World

# How many messages of each topic wait for the others: images are large, and poses may come at hundreds a second.
_WAITING = {IMAGE: 10, INFO: 10, DEPTH: 10, MASK: 10, POSE: 200}
# A message that has waited so long for a nearer one takes the nearest there is.
_PATIENCE_S = 0.5


class Seeding:
    """Takes images with intrinsics, depth, mask and pose that belong together, when the camera has moved enough.

    Images of lenses are rectified first. Without depth (``seed.depth``), the world's estimator finds it. With masks
    (``seed.mask``), what they cover is not remembered, and an image that comes without one is not either.

    While one is written, the newest of those that come waits and the others are skipped.
    """

    def __init__(self, core: Core, observing: Observing) -> None:
        self._core = core
        self._observing = observing
        unused = set()
        if not core.parameters["seed.depth"]:
            unused.add(DEPTH)
        if not core.parameters["seed.mask"]:
            unused.add(MASK)
        if core.parameters["seed.pose_source"] != "topic":
            unused.add(POSE)
        topics = {topic: depth for topic, depth in _WAITING.items() if topic not in unused}
        self._synchroniser = Synchroniser(
            topics, self._on_set, slop_s=lambda: core.parameters["seed.slop_s"], patience_s=_PATIENCE_S
        )
        compressed = core.parameters["seed.transport"] == "compressed"
        for topic in topics:
            core.subscribe(topic, self._receiver(topic), compressed=compressed)
        self._watch = SeedWatch(core, topics, self._synchroniser)
        core.inputs.watch(self._doubts)
        core.create_timer("seeding", _PATIENCE_S / 2, self._release)
        self._T_last: Tensor | None = None
        self._busy = False
        self._next: dict[str, Any] | None = None
        self.accepted = 0
        self.skipped = 0
        #: Those of the skipped that a newer one replaced, because the one before was still being written.
        self.overtaken = 0
        self.rejected = 0
        self.last_rejection = ""
        #: What looks wrong with the frame of the last image; empty: nothing.
        self.frame_doubt = ""
        self._image_doubt = self._depth_frame_doubt = ""
        core.on_world_change(self._on_world_change)

    def _on_world_change(self, world: World) -> None:
        if not len(world):
            self._T_last = None

    def forget(self) -> None:
        """Start anew: time has jumped back."""
        self._synchroniser.clear()
        self._watch.clear()
        self._T_last = self._next = None

    @property
    def lost(self) -> dict[str, float]:
        """The share of the newest messages of each topic that did not arrive, 0 to 1."""
        return self._watch.lost()

    @property
    def unmatched(self) -> int:
        """Images that came without the rest of their set."""
        return self._synchroniser.unmatched

    def waits_for(self) -> list[str]:
        """Return the topics of a set that are missing while others come."""
        return self._synchroniser.waits_for()

    def _receiver(self, topic: str) -> Any:
        def receive(message: Any) -> None:
            if not self._open:
                self._watch.arrived_in_vain(topic)
                return
            self._watch.arrived(topic, stamp_to_ns(message.header.stamp))
            self._synchroniser.add(topic, message)

        return receive

    def _release(self) -> None:
        if self._open:
            self._synchroniser.release()

    @property
    def _open(self) -> bool:
        return self._core.active and self._core.worker.state == "ready"

    def _on_set(self, messages: dict[str, Any]) -> None:
        if self._busy:
            self.skipped += self._next is not None
            self.overtaken += self._next is not None
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
        image = messages[IMAGE]
        try:
            stamp_ns = stamp_to_ns(image.header.stamp)
            self._image_doubt = _doubt_of_color(image)
            self._depth_frame_doubt = _doubt_of_depth(image, messages.get(DEPTH))
            if POSE in messages:
                T_world_camera, _ = await core.camera_pose(messages[POSE])
            else:
                T_world_camera = await self._optical_frame(image.header.frame_id, stamp_ns)
            if not self._moved(T_world_camera):
                self.skipped += 1
                return

            def observe(world: World) -> None:
                seen = observed_view_from_messages(
                    image,
                    messages[INFO],
                    T_world_camera,
                    depth=messages.get(DEPTH),
                    mask=messages.get(MASK),
                    rectified=core.parameters["seed.rectified"],
                    stamp_ns=stamp_ns,
                    max_pixels=core.parameters["camera.max_pixels"],
                )
                self._observing.observe(world, seen)

            await core.run(observe)
        except Exception as error:
            self.rejected += 1
            self.last_rejection = as_text(core.report(IMAGE, error))
            return
        self.accepted += 1
        self._T_last = T_world_camera
        core.rig.place_if_new(T_world_camera, stamp_ns)

    async def _optical_frame(self, frame_id: str, stamp_ns: int) -> Tensor:
        """Return [4, 4] ``T_world_camera`` of the frame of an image, and note if it looks like another kind."""
        if not frame_id:
            raise FrameError(
                "the image has no frame_id, so nobody knows where it was taken: set the frame_id of the driver to the "
                "optical frame of the camera, or use seed.pose_source: topic"
            )
        T = await self._core.frames.wait_for(frame_id, stamp_ns, timeout_s=self._core.parameters["tf_timeout_s"])
        self.frame_doubt = doubt_of_optical(frame_id, T)
        for key, text in self._doubts():
            self._core.inputs.tell(key, text)
        return T

    def _doubts(self) -> Iterable[Problem]:
        if self.frame_doubt:
            yield f"frame {self.frame_doubt}", f"{IMAGE}: {self.frame_doubt}"
        if self._image_doubt:
            yield "image encoding", f"{IMAGE}: {self._image_doubt}"
        if self._masks_unused():
            yield (
                "masks unused",
                f"{MASK}: masks are published and not used, so that what moves is remembered: set seed.mask: true",
            )
        if self._depth_frame_doubt:
            yield f"depth {self._depth_frame_doubt}", f"{DEPTH}: {self._depth_frame_doubt}"

    def _masks_unused(self) -> bool:
        """Return whether somebody sends masks to a node that takes none."""
        node = self._core.node
        if self._core.parameters["seed.mask"]:
            return False
        return bool(node.get_publishers_info_by_topic(node.resolve_topic_name(MASK)))

    def _moved(self, T_world_camera: Tensor) -> bool:
        if self._T_last is None:
            return True
        p = self._core.parameters
        metres = float(torch.linalg.vector_norm(T_world_camera[:3, 3] - self._T_last[:3, 3]))
        angle = float(geodesic_distance(T_world_camera, self._T_last, translation_weight=0.0))
        return metres >= p["seed.min_translation_m"] or angle >= math.radians(p["seed.min_rotation_deg"])


def _doubt_of_color(image: Any) -> str:
    """Return why an image may be none of colour, or an empty string."""
    if getattr(image, "encoding", "") != "16UC1":
        return ""
    return (
        "it is 16UC1, as most depth is, and is read as 16 bits of grey: if it is depth, remap the colour here, and "
        "this to seed/depth; if it is grey, mono16 says so"
    )


def _doubt_of_depth(image: Any, depth: Any) -> str:
    """Return why depth may not be that of the image's pixels, or an empty string."""
    if depth is None or not depth.header.frame_id or depth.header.frame_id == image.header.frame_id:
        return ""
    return (
        f"its frame is {depth.header.frame_id!r}, and that of {IMAGE} {image.header.frame_id!r}: depth that is not "
        "registered to the image puts colours beside surfaces; use the driver's aligned depth, or depth_image_proc"
    )
