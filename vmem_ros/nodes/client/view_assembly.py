"""Puts the messages of one generated view together again: image, intrinsics, depth, confidence and retrieval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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
    """Views that became complete while it was open, by stamp in nanoseconds."""

    def __init__(self) -> None:
        self.views: dict[int, CapturedView] = {}

    def missing(self, stamps_ns: Sequence[int]) -> list[int]:
        """Return those of these stamps whose views have not come."""
        return [stamp for stamp in stamps_ns if stamp not in self.views]


class ViewAssembly:
    """Collects messages by stamp; in one thread at a time."""

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

    def add(self, part: str, message: Any) -> bool:
        """Take in one message; return whether its view is complete with it."""
        stamp = stamp_to_ns(message.header.stamp)
        parts = self._partial.setdefault(stamp, {})
        parts[part] = message
        if len(parts) < len(self.PARTS):
            while len(self._partial) > _MAX_PARTIAL:
                del self._partial[next(iter(self._partial))]
            return False
        del self._partial[stamp]
        self.latest = _assemble(parts)
        for collection in list(self._open):  # one may end meanwhile
            collection.views[stamp] = self.latest
        return True

    @contextmanager
    def collect(self) -> Iterator[Collection]:
        """Keep the views that come from now on."""
        collection = Collection()
        self._open.append(collection)
        try:
            yield collection
        finally:
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
