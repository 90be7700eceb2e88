"""What the ablation leaves behind, whole after every house: tables, figures for programs, plots and sheets."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vmem_ros.evaluation.ablation_run import HouseResult
from vmem_ros.evaluation.ablation_tables import WAY_BACK, headline_figures, short_table, tables
from vmem_ros.evaluation.benchmark_paths import EvaluationPath
from vmem_ros.evaluation.registry import PSNR
from vmem_ros.evaluation.scores import Scores
from vmem_ros.files import write_text
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.reporting.json_text import as_json
from vmem_ros.reporting.plots import Panel, draw_intervals, draw_lines
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.sections import write_sections
from vmem_ros.reporting.tables import Value

#: A page that holds these two lines keeps everything around them when the report is written to it.
MARKS = ("<!-- vmem evaluate: begin -->", "<!-- vmem evaluate: end -->")
#: The same for the short table alone.
SHORT_MARKS = ("<!-- vmem evaluate, in short: begin -->", "<!-- vmem evaluate, in short: end -->")
FIGURES, WAY_BACK_PLOT, DISTANCE_PLOT = "figures.json", "way_back.png", "distance.png"

_HOUSES_PER_SHEET = 4
# Poses of the way out on a sheet; their twins follow.
_COLUMNS = 6


@dataclass
class AblationReport:
    """Collects houses and writes the results.

    :param folder: for the results; it is made.
    :param settings: what was done, and the command that does it again.
    :param rival: name of the method that the first one has to beat.
    """

    folder: Path
    settings: Mapping[str, Value]
    rival: str
    scores: dict[int, Mapping[str, Scores]] = field(default_factory=dict)
    walked_m: dict[int, Tensor] = field(default_factory=dict)
    sheets: list[tuple[str, str]] = field(default_factory=list)

    def add(self, result: HouseResult) -> None:
        """Add a house, and draw a sheet of it if it is the first of a few."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if len(self.scores) % _HOUSES_PER_SHEET == 0:
            name = f"house_{result.seed}.jpg"
            write_image_grid(self.folder / name, [house_block(result)])
            caption = f"House {result.seed}, from the given view on the way out and back, some of the poses"
            self.sheets.append((name, caption))
        self.scores[result.seed] = result.scores
        self.walked_m[result.seed] = _out_and_back(result).walked_m

    @property
    def report(self) -> Report:
        """The tables and pictures of all houses so far."""
        pictures = [
            (WAY_BACK_PLOT, "Views of the way back against those of the way out; dots are means over houses"),
            (DISTANCE_PLOT, "Means over houses at each pose"),
            *self.sheets,
        ]
        return Report("Evaluation", self._summary(), tables(self._houses), pictures, self.settings)

    @property
    def _houses(self) -> list[Mapping[str, Scores]]:
        return list(self.scores.values())

    def write(self) -> None:
        """Write ``report.md``, ``report.json``, ``figures.json`` (every figure of every house) and the plots."""
        self._draw()
        record = {
            "settings": self.settings,
            "houses": {
                seed: {"walked_m": self.walked_m[seed].tolist(), "methods": {n: s.record() for n, s in scores.items()}}
                for seed, scores in self.scores.items()
            },
        }
        write_text(self.folder / FIGURES, as_json(record))
        self.report.write(self.folder)

    def write_page(self, path: Path) -> None:
        """Put the report between :data:`MARKS` of a page, and the short table between :data:`SHORT_MARKS`.

        :raises ValueError: the page exists and has neither.
        """
        pictures = Path(os.path.relpath(self.folder, path.parent)).as_posix()
        sections = {MARKS: self.report.body(pictures_in=pictures), SHORT_MARKS: short_table(self._houses).body()}
        write_sections(path, sections, title="Evaluation")

    def _summary(self) -> str:
        first = next(iter(self._houses[0]))
        count = f"{len(self._houses)} house{'s' if len(self._houses) > 1 else ''}"
        gaps = [(figure, figure.difference(first, self.rival, self._houses)) for figure in headline_figures()]
        # What is not known for either method is left out.
        known = ", ".join(f"{f.heading} {gap.text(f.digits, signed=True)}" for f, gap in gaps if gap.count)
        return (
            f"{count} that no model was trained on. From one given view a world is asked for a loop round a room and "
            "for a walk out and back, and each method draws them from the same noise. "
            f"`{first}` minus `{self.rival}`: {known}."
        )

    def _draw(self) -> None:
        houses = self._houses
        figure = WAY_BACK.figure(PSNR)
        back = {name: figure.mean(name, houses) for name in houses[0]}
        draw_intervals(
            self.folder / WAY_BACK_PLOT,
            {name: interval for name, interval in back.items() if math.isfinite(interval.mean)},
            title="Way back against way out",
            x_label=f"{PSNR.heading}, 95 % intervals over {len(houses)} houses",
        )
        walked_m = torch.stack(list(self.walked_m.values())).mean(dim=0).tolist()
        half = len(walked_m) // 2
        since_m = [walked_m[half + i] - walked_m[half - 1 - i] for i in range(half)]
        truth = {name: _along([house[name].truth_db for house in houses]) for name in houses[0]}
        twins = {name: _along([house[name].back_db for house in houses]) for name in houses[0]}
        draw_lines(
            self.folder / DISTANCE_PLOT,
            [
                Panel(
                    "against the truth", "metres walked from the given view", walked_m, truth, {"back": walked_m[half]}
                ),
                Panel("against the way out", "metres walked since the same pose", since_m, twins, {}),
            ],
            y_label=PSNR.heading,
        )


def _along(houses: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over houses at each pose."""
    return [mean_interval(values).mean for values in zip(*houses, strict=True)]


def _out_and_back(result: HouseResult) -> EvaluationPath:
    return next(path for path in result.paths if path.name == "out and back")


def house_block(result: HouseResult) -> Block:
    """Return pictures of a house: the given view, and some poses of the way out and of the way back."""
    walk = _out_and_back(result)
    half = len(walk.truths) // 2
    out = np.unique(np.linspace(0, half - 1, min(_COLUMNS, half)).round().astype(int)).tolist()
    chosen = [*out, *(2 * half - 1 - i for i in reversed(out))]
    rows = {"truth": [truth.image for truth in walk.truths]}
    rows |= {name: [a.view.image for a in answers[walk.name]] for name, answers in result.answers.items()}
    return Block(
        f"House {result.seed}",
        {name: [walk.start.image, *(pictures[i] for i in chosen)] for name, pictures in rows.items()},
        ["given", *(f"out {i + 1}" for i in out), *(f"back {i + 1}" for i in reversed(out))],
    )
