"""What a viewer shows of a world, as arrays that nobody changes any more."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem_ros.geometry import Camera
from vmem_ros.reporting.floor_map import spacing_m
from vmem_ros.types import Projection, Target, View
from vmem_ros.world import World

#: So many of the newest stored views are shown at their places.
MAX_VIEWS = 96
# Longer side of the pictures at these places.
_THUMBNAIL = 160


@dataclass(frozen=True, eq=False)
class Cloud:
    """N elements of a memory.

    :param position: [N, 3] float32, world, metres.
    :param color: [N, 3] uint8 RGB.
    :param radius: [N] float32 in metres.
    :param confidence: [N] float32, see :class:`~vmem_ros.types.Elements`; ``None``: the memory does not say.
    """

    position: NDArray[np.float32]
    color: NDArray[np.uint8]
    radius: NDArray[np.float32]
    confidence: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class StoredView:
    """A stored view at its place.

    :param target: camera and pose.
    :param image: [h, w, 3] uint8, small.
    :param generated: it was drawn, and no camera took it.
    """

    target: Target
    image: NDArray[np.uint8]
    generated: bool


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A world at one moment.

    :param cloud: its elements, evenly thinned out.
    :param views: the newest of its views, at most :data:`MAX_VIEWS`, oldest first. A view that is in several snapshots
        is the same object in all of them.
    """

    cloud: Cloud
    views: tuple[StoredView, ...]


@dataclass(frozen=True, eq=False)
class Preview:
    """What memory alone shows at a pose.

    :param image: [H, W, 3] uint8, black where nothing is remembered.
    :param depth: [H, W] float32 z-depth in metres, NaN where nothing is known.
    :param confidence: [H, W] float32, see :class:`~vmem_ros.types.Projection`.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32]

    @classmethod
    def of(cls, shown: Projection) -> Preview:
        """Return a projection as arrays."""
        return cls(shown.image.cpu().numpy(), shown.depth.cpu().numpy(), shown.confidence.cpu().numpy())


class Snapshots:
    """Takes snapshots of a world; what a view costs is paid once. Belongs to the thread that owns the world."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[View, StoredView]] = {}

    def take(self, world: World, *, max_points: int) -> Snapshot:
        """Return a snapshot of a world, with at most ``max_points`` elements."""
        memory = world.memory
        every = memory.elements()
        cloud = every.at_most(max_points)
        # Of fewer elements, each stands for more of the surface.
        wider = (max(len(every), 1) / max(len(cloud), 1)) ** 0.5
        if cloud.radius is None:
            radius = np.full(len(cloud), spacing_m(cloud) / 2, np.float32)
        else:
            radius = cloud.radius.cpu().numpy() * np.float32(wider)
        newest = memory.views[max(len(memory) - MAX_VIEWS, 0) :]
        self._made = {id(view): (view, self._stored(view)) for view in newest}
        return Snapshot(
            Cloud(
                cloud.position.cpu().numpy(),
                cloud.color.cpu().numpy(),
                radius,
                None if cloud.confidence is None else cloud.confidence.cpu().numpy(),
            ),
            tuple(stored for _, stored in self._made.values()),
        )

    def _stored(self, view: View) -> StoredView:
        """Return a view in small, the same object as long as it is the same view."""
        if id(view) in self._made:
            return self._made[id(view)][1]
        scale = min(1.0, _THUMBNAIL / max(view.camera.size))
        width, height = (max(1, round(side * scale)) for side in (view.camera.width, view.camera.height))
        image = cv2.resize(view.image.cpu().numpy(), (width, height), interpolation=cv2.INTER_AREA)
        return StoredView(view.target, np.asarray(image, np.uint8), view.source == "generated")


def vertical_fov(camera: Camera) -> float:
    """Return the vertical field of view of a camera in radians."""
    return float(2 * np.arctan2(camera.height / 2, camera.fy))
