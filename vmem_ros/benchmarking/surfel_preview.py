"""Frames a second of the preview: a camera that glides through a room, memory alone, nothing else running."""

from __future__ import annotations

from typing import get_args

import torch
from tqdm import tqdm

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.benchmarking.result import BenchmarkResult, Figures, Row, Settings
from vmem_ros.benchmarking.surfel_scaling import detail
from vmem_ros.benchmarking.timing import Timing, measure
from vmem_ros.geometry import Camera, interpolate_poses
from vmem_ros.memory.surfel import Detail, SurfelMemory
from vmem_ros.types import Target

_FOV_DEG = 75


def run(settings: Settings) -> BenchmarkResult:
    """Fill one memory and glide through it at several sizes, with both kinds of detail."""
    surfels = settings.pick(quick=5_000, normal=200_000)
    frames = settings.pick(quick=3, normal=40)
    stored = Camera.from_fov(*settings.pick(quick=(128, 72), normal=(512, 288)), _FOV_DEG)
    sizes = settings.pick(quick=[(128, 72)], normal=[(256, 144), (288, 288), (512, 288), (640, 480)])
    memory = SurfelMemory(device=settings.device)
    filler = MemoryFiller(Building(), stored, memory)
    filler.grow(surfels=surfels)
    ends = [filler.building.ask(stored, number).T_world_camera for number in (2, 3)]
    path = interpolate_poses(ends, [0, 1], torch.linspace(0, 1, frames + 1))
    rows = []
    for width, height in tqdm(sizes, desc="preview", unit="size"):
        camera = Camera.from_fov(width, height, _FOV_DEG)
        targets = [Target(camera, T) for T in path]
        for kind in get_args(Detail):
            with detail(memory, kind):
                timing = measure(memory.project, targets)
            rows.append(_row(f"{width} x {height}", kind, timing))
    note = (
        f"Median / 90th percentile in ms of {frames} frames along a smooth path, {memory.n_surfels:,} surfels from "
        f"{len(memory)} views of {stored.width} x {stored.height}."
    )
    return BenchmarkResult([Figures("Preview rate", rows, note)])


def _row(size: str, kind: Detail, timing: Timing) -> Row:
    return {"size": size, "pixels from": kind, "glimpse": timing, "frames a second": 1e3 / timing.median_ms}
