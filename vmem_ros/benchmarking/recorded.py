"""Memory beside a TSDF on a recording of a real camera: observing against integrating, showing against casting rays.

All four take turns, frame by frame, in one process. Passes over the recording that come after the first see it from
poses that are a little off, as a tracker's are, so that no view is one that is stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vmem_ros.benchmarking.growth_plot import Curve, draw_curves
from vmem_ros.benchmarking.memory_filler import size_of
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Cell, Figures, Row, Settings
from vmem_ros.benchmarking.timing import Case, Timing, measure_in_turn
from vmem_ros.evaluation.recorded_run import Split, volume_or_reason
from vmem_ros.evaluation.tsdf import TsdfVolume
from vmem_ros.kernels.library import threads
from vmem_ros.recordings import Recording
from vmem_ros.recordings.pose_noise import perturbed_poses
from vmem_ros.types import Target, View
from vmem_ros.world import World, default_world

_QUICK_PAIRS = 4
_OFF_M, _OFF_DEG = 0.01, 0.5
# What the design asks of a glimpse against casting rays, of an observation against an integration, and of both over
# a long walk.
_GLIMPSE_TIMES, _OBSERVE_TIMES, _GROWTH_TIMES = 0.5, 1.0, 1.5
_MEMORY, _TSDF = ("observe", "glimpse"), ("integrate", "cast rays")


@dataclass(frozen=True, eq=False)
class _Step:
    """A frame that is observed and a pose that is asked for next."""

    view: View
    mask: Tensor | None
    asked: Target


def run(settings: Settings) -> BenchmarkResult:
    """Walk through the recording, observe every other frame and ask for the others.

    :raises ValueError: there is no recording.
    """
    recording = settings.recording
    if recording is None:
        raise ValueError("the benchmark 'recorded' needs a recording: vmem bench recorded PATH")
    split = Split.of(len(recording))
    pairs = settings.pick(quick=_QUICK_PAIRS, normal=len(split.asked))
    split = Split(split.observed[:pairs], split.asked[:pairs])
    world = default_world(memory=settings.new_memory())
    volume, why = volume_or_reason(recording, split, voxel_m=settings.voxel_m)
    walk = _Walk(recording, split, settings.passes, world, volume)
    timings = walk.measure()
    passes = walk.by_pass(timings)
    camera = recording.targets[0].camera
    size = f"{camera.width} x {camera.height}"
    tables = [_side_by_side(recording, timings, size, len(walk), volume, why)]
    if len(passes) == 1:
        return BenchmarkResult(tables, _budgets(timings, size))
    tables.append(
        Figures(
            f"{recording.title}, pass by pass",
            passes,
            f"Median / 90th percentile in ms over a pass of {len(split.observed)} frames. From the second pass on "
            f"poses are off by {1e2 * _OFF_M:g} cm and {_OFF_DEG:g} degrees. Sizes are those at the end of a pass.",
        )
    )
    draw = partial(_draw, passes, title=f"{recording.title}, {size}")
    return BenchmarkResult(tables, [*_budgets(timings, size), *_growth(passes)], {"recorded.png": draw})


class _Walk:
    """Passes over a recording, timed step by step.

    :param volume: ``None``: memory is alone.
    """

    def __init__(
        self, recording: Recording, split: Split, passes: int, world: World, volume: TsdfVolume | None
    ) -> None:
        self._recording, self._split, self._passes = recording, split, passes
        self._world, self._volume = world, volume
        self._sizes: list[Row] = []

    def __len__(self) -> int:
        return self._passes * self._pairs

    @property
    def _pairs(self) -> int:
        return len(self._split.asked)

    def measure(self) -> dict[str, Timing]:
        """Return the timings of every step but the first, by operation."""
        calls: dict[str, Callable[[_Step], object]] = {
            "observe": lambda step: self._world.observe(step.view, mask=step.mask),
            "glimpse": lambda step: self._world.glimpse(step.asked),
        }
        volume = self._volume
        if volume is not None:
            calls["integrate"] = lambda step: volume.integrate(step.view)
            calls["cast rays"] = lambda step: volume.ray_cast(step.asked)
        # Both learn of a frame before both are asked.
        order: list[str] = [name for name in ("observe", "integrate", "glimpse", "cast rays") if name in calls]
        steps = itertools.tee(self._steps(), len(order))
        cases = [Case(calls[name], inputs) for name, inputs in zip(order, steps, strict=True)]
        timings: dict[str, Timing] = dict(zip(order, measure_in_turn(cases, limit_s=float("inf")), strict=True))
        self._sizes.append(self._size())
        return timings

    def by_pass(self, timings: dict[str, Timing]) -> list[Row]:
        """Return the timings of each pass with the sizes at its end."""
        rows: list[Row] = []
        for i, size in enumerate(self._sizes):
            # The very first step is not timed.
            first, last = max(0, i * self._pairs - 1), (i + 1) * self._pairs - 1
            of_pass = {name: Timing(timing.seconds[first:last]) for name, timing in timings.items()}
            # A machine that slows down slows both down.
            ratios = {
                f"{ours} / {theirs}": _ratio(of_pass, ours, theirs)
                for ours, theirs in zip(_MEMORY, _TSDF, strict=True)
                if theirs in of_pass
            }
            rows.append({"pass": i + 1, **size, **of_pass, **ratios})
        return rows

    def _steps(self) -> Iterator[_Step]:
        rng = np.random.default_rng(0)
        poses = recorded = torch.stack([target.T_world_camera for target in self._recording.targets])
        with tqdm(total=len(self), desc="recorded", unit="frame") as bar:
            for number in range(self._passes):
                if number:
                    self._sizes.append(self._size())
                    poses = perturbed_poses(recorded, translation_m=_OFF_M, rotation_deg=_OFF_DEG, rng=rng)
                for observed, asked in zip(self._split.observed, self._split.asked, strict=False):
                    yield self._step(observed, asked, poses)
                    bar.update()

    def _step(self, observed: int, asked: int, poses: Tensor) -> _Step:
        frame = self._recording[observed]
        target = replace(self._recording.targets[asked], T_world_camera=poses[asked])
        if self._volume is not None and self._volume.blocks:
            self._volume.make_room(target)
        return _Step(replace(frame.view, T_world_camera=poses[observed]), frame.mask, target)

    def _size(self) -> Row:
        blocks = {} if self._volume is None else {"TSDF blocks": self._volume.blocks}
        return {**size_of(self._world.memory), **blocks}


def _side_by_side(
    recording: Recording, timings: dict[str, Timing], size: str, steps: int, volume: TsdfVolume | None, why: str
) -> Figures:
    rows: list[Row] = []
    for what, ours, theirs in zip(("take a frame in", "show a pose"), _MEMORY, _TSDF, strict=True):
        beside: dict[str, Cell] = {"TSDF": "-", "memory / TSDF": "-"}
        if theirs in timings:
            beside = {"TSDF": timings[theirs], "memory / TSDF": _ratio(timings, ours, theirs)}
        rows.append({"what": what, "memory": timings[ours], **beside})
    peer = (
        f"TSDF: Open3D's VoxelBlockGrid, voxels of {1e3 * volume.voxel_m:g} mm, integrate and ray_cast; its buffers "
        "have grown before it is timed."
        if volume is not None
        else f"No TSDF beside it: {why}."
    )
    note = (
        f"Median / 90th percentile in ms over {steps - 1:,} frames of {size}, in turns within one process; reading "
        f"files does not count. Memory: World.observe and World.glimpse, threads of torch: {threads()}. "
        f"{peer}"
    )
    return Figures(f"{recording.title}: memory and a TSDF", rows, note)


def _ratio(timings: dict[str, Timing], ours: str, theirs: str) -> float:
    return timings[ours].median_ms / timings[theirs].median_ms


def _budgets(timings: dict[str, Timing], size: str) -> list[Budget]:
    if "integrate" not in timings:
        return []
    return [
        Budget(f"glimpse over casting rays, {size}", _GLIMPSE_TIMES, _ratio(timings, "glimpse", "cast rays"), "times"),
        Budget(f"observe over integrate, {size}", _OBSERVE_TIMES, _ratio(timings, "observe", "integrate"), "times"),
    ]


def _growth(passes: Sequence[Row]) -> list[Budget]:
    """Return how much longer memory takes in the last pass than in the second: the first one finds it empty."""
    early, late = passes[min(1, len(passes) - 2)], passes[-1]
    return [
        Budget(
            f"growth of {name} from {early['views']:,} to {late['views']:,} views",
            _GROWTH_TIMES,
            _median(late, name) / _median(early, name),
            "times",
        )
        for name in _MEMORY
    ]


def _median(row: Row, name: str) -> float:
    timing = row[name]
    assert isinstance(timing, Timing), f"{name} is timed"
    return timing.median_ms


def _draw(passes: Sequence[Row], path: Path, *, title: str) -> None:
    panels = {
        whose: [_curve(passes, name) for name in names if name in passes[0]]
        for whose, names in (("memory", _MEMORY), ("TSDF", _TSDF))
    }
    known = {whose: curves for whose, curves in panels.items() if curves}
    draw_curves(known, path, title=title, x_label="views in memory", y_label="milliseconds")


def _curve(passes: Sequence[Row], name: str) -> Curve:
    timings = [timing for row in passes if isinstance(timing := row[name], Timing)]
    views = [n for row in passes if isinstance(n := row["views"], int)]
    return Curve(name, views, [t.median_ms for t in timings], [t.p90_ms for t in timings])
