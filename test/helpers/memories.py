"""What the tests of memory and world share: small memories of the analytic room, and comparing what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rooms import box_view
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import Projection, View

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


def snapshot(memory: SurfelMemory, *, votes: bool = True) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return a copy of everything a memory holds; the votes counted so far are optional."""
    tensors, metadata = memory.state()
    kept = {name: value.clone() for name, value in tensors.items() if votes or name != "views/popularity"}
    return kept, metadata


def differences(a: tuple[Mapping[str, torch.Tensor], Any], b: tuple[Mapping[str, torch.Tensor], Any]) -> list[str]:
    """Return the names of what differs between two snapshots; bit by bit, NaN equal to NaN."""
    names = sorted(a[0].keys() | b[0].keys())
    tensors = [n for n in names if n not in a[0] or n not in b[0] or not _equal(a[0][n], b[0][n])]
    return tensors + ([] if a[1] == b[1] else ["metadata"])


def same_projection(a: Projection, b: Projection) -> bool:
    """Tell whether two projections are equal bit by bit."""
    return all(_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def _equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.nan_to_num(nan=-7.0), b.nan_to_num(nan=-7.0)) if a.is_floating_point() else torch.equal(a, b)
