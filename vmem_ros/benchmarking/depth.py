"""How true estimated depth stays on long walks, with and without alignment, and what alignment costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from vmem_ros.benchmarking.depth_drift import DisturbedTruth, WalkErrors, walk
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings
from vmem_ros.benchmarking.timing import Timing, measure
from vmem_ros.errors import ModelError
from vmem_ros.geometry import Camera
from vmem_ros.pointmaps import DepthPrediction, DepthPredictor, ScalePrior
from vmem_ros.pointmaps.alignment import align
from vmem_ros.reporting.plots import Panel, draw_lines
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.types import Projection, Recall, Target

_SIDE = 128
# Share of a picture that memory shows in the timing.
_SHOWN = 0.3


class _Series(NamedTuple):
    """One predictor in several houses, with or without alignment."""

    predictor: str
    aligned: bool
    walks: list[WalkErrors]

    @property
    def label(self) -> str:
        return f"{self.predictor}, {'aligned' if self.aligned else 'as predicted'}"

    def row(self) -> Row:
        medians = [float(np.nanmedian(w.relative)) for w in self.walks]
        drifts = [w.drift for w in self.walks]
        return {
            "depth": self.label,
            "error %": 100 * float(np.mean(medians)),
            "worst house %": 100 * max(medians),
            "drift %": 100 * float(np.mean(drifts)),
            "worst drift %": 100 * max(drifts),
        }


@dataclass(frozen=True)
class _WalkCase:
    """What one kind of predictor is put through.

    :param measured_start: the first view comes with its true depth.
    """

    title: str
    make: Callable[[House], DepthPredictor]
    houses: int
    views: int
    measured_start: bool


def run(settings: Settings) -> BenchmarkResult:
    """Walk with the depth network of the package, if it is there, and with the truth, disturbed."""
    side = settings.pick(quick=32, normal=_SIDE)
    cases = [
        _WalkCase(
            "disturbed truth",
            DisturbedTruth,
            houses=settings.pick(quick=1, normal=4, full=16),
            views=settings.pick(quick=4, normal=200),
            measured_start=True,
        )
    ]
    network, absent = _network(settings)
    if network is not None:
        case = _WalkCase(
            "depth network",
            lambda house: network,
            houses=settings.pick(quick=1, normal=16),
            views=settings.pick(quick=4, normal=100),
            measured_start=False,
        )
        cases.insert(0, case)
    tables, panels, budgets = [], [], []
    for case in cases:
        series = [_measure(case, side, aligned, settings.device) for aligned in (True, False)]
        tables.append(_table(case, series, side, absent))
        panels.append(_panel(case, series))
        if not case.measured_start:
            row = series[0].row()
            budgets += [
                Budget(f"{what} of {case.title} over {case.views} views", limit, float(row[f"{what} %"]), "%")  # type: ignore[arg-type]
                for what, limit in (("error", 10.0), ("drift", 5.0))
            ]
    timing = _timing(side, settings)
    tables.append(
        Figures(
            "Alignment of one chunk",
            [{"views": 4, "size": f"{side} x {side}", "ms": timing}],
            f"Scales of 4 views, of which memory shows {_SHOWN:.0%}; median / 90th percentile in ms. It does not "
            "depend on how much is remembered.",
        )
    )
    budgets.append(Budget(f"alignment of 4 views, {side} x {side}", 100, timing.median_ms))
    draw = partial(draw_lines, panels=panels, y_label="relative depth error, %")
    return BenchmarkResult(tables, budgets, {"depth.png": draw})


def _network(settings: Settings) -> tuple[DepthPredictor | None, str]:
    """Return the depth network, or why there is none."""
    # Imports diffusers, which takes seconds.
    from vmem_ros.pointmaps.small import SmallDepth

    try:
        return SmallDepth.from_pretrained(settings.depth_model, device=settings.device), ""
    except ModelError as error:
        if settings.depth_model is not None:
            raise
        return None, f" The depth network is left out: {error}."


def _measure(case: _WalkCase, side: int, aligned: bool, device: str) -> _Series:
    name = "aligned" if aligned else "as predicted"
    walks = [
        walk(
            House(seed),
            case.make,
            views=case.views,
            side=side,
            aligned=aligned,
            measured_start=case.measured_start,
            device=device,
        )
        for seed in tqdm(EVALUATION_SEEDS[: case.houses], desc=f"{case.title}, {name}", unit="house")
    ]
    return _Series(case.title, aligned, walks)


def _table(case: _WalkCase, series: Sequence[_Series], side: int, absent: str) -> Figures:
    begin = "one view with its true depth" if case.measured_start else "one picture without depth"
    what = (
        "the truth times a factor between 0.5 and 1.5 for each view, 5 % of noise, a fifth of the pixels wrong"
        if case.measured_start
        else "the network's"
    )
    note = (
        f"Houses {EVALUATION_SEEDS[0]} to {EVALUATION_SEEDS[case.houses - 1]}, {case.views} views of a random walk "
        f"that begins with {begin}, {side} x {side}; pictures are the houses' own. Predicted depth is {what}. Error: "
        "median over pixels of the relative error, median over views, mean over houses. Drift: difference of the "
        "median scale between the last and the first tenth of the views."
    )
    return Figures(f"Depth on long walks, {case.title}", [s.row() for s in series], note + absent)


def _panel(case: _WalkCase, series: Sequence[_Series]) -> Panel:
    x = np.mean([w.walked_m for w in series[0].walks], axis=0)
    lines = {
        ("aligned" if s.aligned else "as predicted"): (100 * np.nanmean([w.relative for w in s.walks], axis=0)).tolist()
        for s in series
    }
    return Panel(case.title, "metres walked", x.tolist(), lines, {})


def _timing(side: int, settings: Settings) -> Timing:
    """Return how long four neighbouring views take."""
    house = House(EVALUATION_SEEDS[0])
    camera = Camera.from_fov(side, side, 70)
    targets = [Target(camera, T) for T in house.random_walk(4, 0)]
    predictions = DisturbedTruth(house).predict([house.view(t) for t in targets], Recall((), torch.empty(0), ()))
    projections = [_shown(house.render(t).depth, settings.device) for t in targets]
    poses = torch.stack([t.T_world_camera for t in targets])
    on_device = [DepthPrediction(p.depth.to(settings.device), p.deviation.to(settings.device)) for p in predictions]
    repeats = settings.pick(quick=3, normal=30)
    return measure(
        lambda _: align(on_device, projections, [camera] * 4, poses, prior=ScalePrior()), [None] * (repeats + 1)
    )


def _shown(depth: torch.Tensor, device: str) -> Projection:
    """Return a projection that shows the left part of a view."""
    seen = torch.zeros(depth.shape, dtype=torch.bool, device=device)
    seen[:, : round(_SHOWN * depth.shape[1])] = True
    depth = torch.where(seen, depth.to(device), torch.nan)
    image = torch.zeros(*depth.shape, 3, dtype=torch.uint8, device=device)
    return Projection(image, depth, seen, torch.where(seen, 0, -1), seen.float())
