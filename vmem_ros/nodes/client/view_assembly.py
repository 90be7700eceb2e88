"""Puts the messages of one generated view together again: image, intrinsics, depth, confidence and retrieval."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import NotReadyError
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import camera_from_link, pose_from_message

# Views of which parts are still missing; older ones are given up.
_MAX_PARTIAL = 32


@dataclass(frozen=True, eq=False)
class CapturedView:
    """One generated view.

    :param image: [H, W, 3] uint8 RGB.
    :param depth: [H, W] float32 z-depth in metres; NaN unknown, +Inf looked and saw nothing.
    :param confidence: [H, W] float32: 0 invented, 1 remembered and once seen by a real camera.
    :param T_world_camera: [4, 4] float64, optical axes.
    :param stamp_ns: time of the pose.
    :param references: numbers of the remembered views it was drawn from, best first, with their ``weights``.
    :param remembered: share of pixels that memory showed before.
    :param reused: a stored view at exactly this pose was returned.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    camera: Camera
    T_world_camera: Tensor
    stamp_ns: int
    references: tuple[int, ...]
    weights: tuple[float, ...]
    remembered: float
    reused: bool


class Collection:
    """Views that became complete while it was open."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self.views: dict[int, CapturedView] = {}

    def wait(self, stamps_ns: Sequence[int], *, timeout_s: float = 10.0) -> list[CapturedView]:
        """Return the views of these stamps; the node says that it has published them.

        :raises NotReadyError: some did not come within ``timeout_s``.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while missing := [s for s in stamps_ns if s not in self.views]:
                if not self._changed.wait(timeout=end - time.monotonic()):
                    raise NotReadyError(
                        f"{len(missing)} of {len(stamps_ns)} views were published but did not arrive: use the "
                        "shared-memory profile of config/ on both sides (FASTRTPS_DEFAULT_PROFILES_FILE)"
                    )
            return [self.views[s] for s in stamps_ns]


class ViewAssembly:
    """Collects messages by stamp; thread-safe."""

    PARTS = (
        "camera/image_raw",
        "camera/camera_info",
        "camera/depth/image_rect",
        "camera/confidence",
        "memory/retrieval",
    )

    def __init__(self) -> None:
        self.latest: CapturedView | None = None
        self._partial: dict[int, dict[str, Any]] = {}
        self._open: list[Collection] = []
        self._changed = threading.Condition()

    def add(self, part: str, message: Any) -> None:
        """Take in one message."""
        stamp = stamp_to_ns(message.header.stamp)
        with self._changed:
            parts = self._partial.setdefault(stamp, {})
            parts[part] = message
            if len(parts) < len(self.PARTS):
                while len(self._partial) > _MAX_PARTIAL:
                    del self._partial[next(iter(self._partial))]
                return
            del self._partial[stamp]
            self.latest = _assemble(parts)
            for collection in self._open:
                collection.views[stamp] = self.latest
            self._changed.notify_all()

    @contextmanager
    def collect(self) -> Iterator[Collection]:
        """Keep the views that come from now on."""
        collection = Collection(self._changed)
        with self._changed:
            self._open.append(collection)
        try:
            yield collection
        finally:
            with self._changed:
                self._open.remove(collection)


def _assemble(parts: dict[str, Any]) -> CapturedView:
    image, info, depth, confidence, retrieval = (parts[name] for name in ViewAssembly.PARTS)
    return CapturedView(
        image=image_from_message(image),
        depth=map_from_message(depth),
        confidence=map_from_message(confidence),
        camera=camera_from_message(info),
        T_world_camera=camera_from_link(pose_from_message(retrieval.pose)),
        stamp_ns=stamp_to_ns(retrieval.header.stamp),
        references=tuple(retrieval.view_ids),
        weights=tuple(retrieval.weights),
        remembered=retrieval.remembered,
        reused=retrieval.reused,
    )
