"""What the tests of memory and world share: small memories of the analytic room, and comparing what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from comparisons import differences, same_projection, snapshot
from rooms import box_view
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import View

__all__ = ["CAMERA", "differences", "memory_of", "same_projection", "snapshot", "views_at", "write"]

CAMERA = Camera.from_fov(64, 48, 80)


def views_at(poses: torch.Tensor, camera: Camera = CAMERA, *, panel: bool = False) -> list[View]:
    """Return what a camera in the analytic room sees at each pose."""
    return [box_view(camera, T, panel=panel) for T in poses]


def write(memory: SurfelMemory, views: Sequence[View]) -> None:
    """Write views with their own depth."""
    memory.write(views, SensorDepth().estimate(views))


def memory_of(views: Sequence[View], **options: Any) -> SurfelMemory:
    """Return a memory of some views, written one by one."""
    memory = SurfelMemory(SurfelMemoryOptions(**options))
    for view in views:
        write(memory, [view])
    return memory
