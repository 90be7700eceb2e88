"""What a memory under test provides, and what its contract tests share."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera, look_at
from vmem_ros.protocols import Memory
from vmem_ros.types import PointMap, Target, View

#: Of most views of these tests.
CAMERA = Camera.from_fov(48, 36, 80)
#: Eight views around the room, each overlapping the next; none sees all of it.
VIEWS = [box_view(CAMERA, T, panel=True, stamp_ns=n) for n, T in enumerate(orbit(8))]
#: Between the views, and from beside them.
TARGETS = [Target(CAMERA, orbit(16, radius=0.8)[3]), Target(CAMERA, look_at((-1.5, 1.0, 0.2), (2, -0.3, 0)))]


class MemorySubject(ABC):
    """Hooks that say how to make the memory; contracts are subclasses with tests."""

    #: How well the projection at a stored pose shows the stored view, at least, in dB.
    least_psnr_db = 25.0
    #: Share of the pixels at a stored pose that memory shows, at least.
    least_shown = 0.9
    #: Entries of the state that a file may lack.
    optional_entries = frozenset({"views/commit", "views/log_exposure"})

    @abstractmethod
    def make(self) -> Memory:
        """Return an empty memory without bounds."""

    def bounded(self, max_views: int) -> Memory:
        """Return an empty memory that keeps so many views at most."""
        pytest.skip("this memory has no bounds")

    def memory_of(self, views: Sequence[View]) -> Memory:
        """Return a memory of some views, written one by one."""
        memory = self.make()
        for view in views:
            write(memory, [view])
        return memory


def write(memory: Memory, views: Sequence[View], *, label: str = "", evict: bool = True) -> None:
    """Write views with their own depth."""
    memory.write(views, maps_of(views), label=label, evict=evict)


def maps_of(views: Sequence[View]) -> list[PointMap]:
    """Return the geometry of views from their own depth."""
    return [PointMap.from_depth(v.depth, torch.ones_like(v.depth), v.camera, v.T_world_camera) for v in views]


def moved(view: View, by: torch.Tensor) -> View:
    """Return a view in a world moved by ``by`` [4, 4]."""
    return dataclasses.replace(view, T_world_camera=by @ view.T_world_camera)


def wall(depth_m: float, source: str, grey: int) -> tuple[list[View], list[PointMap]]:
    """Return a view of a grey wall straight ahead, and its geometry."""
    here = look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    depth = torch.full(CAMERA.size, depth_m)
    image = torch.full((*CAMERA.size, 3), grey, dtype=torch.uint8)
    view = View(image, CAMERA, here, depth, source=source)
    return [view], [PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, here)]


def middle(values: torch.Tensor) -> torch.Tensor:
    """Return an image without its borders, which elements need not reach."""
    return values[8:-8, 8:-8]
