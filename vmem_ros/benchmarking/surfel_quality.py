"""What a picture from memory is worth, and what it costs: how pixels are filled, and how views are chosen.

Robots filler evaluation houses; then memory alone shows poses that they never had, and the reprojection generator
draws them. Truth is the house itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import torch
from tqdm import tqdm

from vmem_ros.benchmarking.result import BenchmarkResult, Figures, Row, Settings
from vmem_ros.benchmarking.timing import Timing
from vmem_ros.evaluation.metrics import depth_errors, psnr
from vmem_ros.evaluation.nearest_view import nearest_view
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import Detail, Selection, SurfelMemory, SurfelMemoryOptions
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.types import Target, View
from vmem_ros.world import World, default_world

_FOV_DEG = 75
_REFERENCES = 4
_VARIANTS = [
    SurfelMemoryOptions(detail=detail, selection=selection)
    for detail in get_args(Detail)
    for selection in get_args(Selection)
    # Colours of surfels do not depend on which views are chosen.
    if detail == "pixels" or selection == "votes"
]


def run(settings: Settings) -> BenchmarkResult:
    """Measure every variant in the same houses, at the same poses."""
    houses = settings.pick(quick=1, normal=3, full=10)
    seen, asked = settings.pick(quick=(3, 2), normal=(24, 6))
    camera = Camera.from_fov(*settings.pick(quick=(64, 48), normal=(320, 240)), _FOV_DEG)
    scores = [_Score() for _ in _VARIANTS]
    copies = _Score()
    for seed in tqdm(EVALUATION_SEEDS[:houses], desc="quality", unit="house"):
        house = House(seed)
        filled = [house.view(Target(camera, T)) for T in house.drive(seen, rooms=house.loop_rooms)]
        worlds = [_world_of(filled, config, settings.device) for config in _VARIANTS]
        for T in house.loop(asked + 1)[:-1]:
            truth = house.view(Target(camera, T))
            _judge(worlds, truth, scores)
            copies.generated_db.append(psnr(nearest_view(truth.target, filled).image, truth.image))
    rows = [
        {"pixels from": c.detail, "views by": c.selection, **s.row()} for c, s in zip(_VARIANTS, scores, strict=True)
    ]
    rows.append({"pixels from": "copy of nearest view", "views by": "pose", **copies.row()})
    note = (
        f"Houses {EVALUATION_SEEDS[0]} to {EVALUATION_SEEDS[houses - 1]}, {seen} views of a filler of two rooms each, "
        f"{asked} new poses on a loop through them, {camera.width} x {camera.height}. PSNR in dB against the house: of "
        "a glimpse over the pixels that every variant shows, and of the whole generated picture (reprojection, holes "
        "inpainted). dB per ms: PSNR of the glimpse over its median time. seen: share of pixels that memory shows. "
        "depth: mean relative error in per cent."
    )
    return BenchmarkResult([Figures("Picture quality by kind of projection", rows, note)])


@dataclass
class _Score:
    """Figures of one variant over all poses."""

    glimpse_db: list[float] = field(default_factory=list)
    generated_db: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    depth: list[float] = field(default_factory=list)
    glimpse_s: list[float] = field(default_factory=list)

    def row(self) -> Row:
        timing = Timing(tuple(self.glimpse_s)) if self.glimpse_s else None
        glimpse_db = _mean(self.glimpse_db)
        return {
            "glimpse PSNR": glimpse_db,
            "glimpse ms": timing or math.nan,
            "dB per ms": glimpse_db / timing.median_ms if timing else math.nan,
            "seen": _mean(self.seen),
            "depth %": 100 * _mean(self.depth),
            "generated PSNR": _mean(self.generated_db),
        }


def _world_of(filled: Sequence[View], config: SurfelMemoryOptions, device: str) -> World:
    world = default_world(memory=SurfelMemory(config, device=device))
    for view in filled:
        world.observe(view)
    world.glimpse(filled[0].target)  # warm-up
    return world


def _judge(worlds: Sequence[World], truth: View, scores: Sequence[_Score]) -> None:
    """Show and draw one pose in every world, without writing, so that it is drawn from what was observed alone."""
    glimpses = []
    for world, score in zip(worlds, scores, strict=True):
        start = time.perf_counter()
        glimpses.append(world.glimpse(truth.target))
        score.glimpse_s.append(time.perf_counter() - start)
    common = torch.stack([shown.seen for shown in glimpses]).all(dim=0).cpu()
    assert truth.depth is not None, "houses know their depth"
    for world, shown, score in zip(worlds, glimpses, scores, strict=True):
        score.glimpse_db.append(psnr(shown.image.cpu(), truth.image, mask=common))
        score.seen.append(float(shown.seen.float().mean()))
        score.depth.append(depth_errors(shown.depth.cpu(), truth.depth).abs_rel)
        recall = world.memory.read([truth.target], _REFERENCES)
        [drawn] = world.generator.generate(recall, [truth.target], seed=0)
        score.generated_db.append(psnr(drawn.image.cpu(), truth.image))


def _mean(values: Sequence[float]) -> float:
    return float(np.nanmean(values)) if values else math.nan
