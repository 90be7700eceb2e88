"""What a study of houses leaves behind, whole after every house: tables, figures for programs, plots and sheets."""

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
from vmem_ros.evaluation.ablation_tables import CONSISTENCY, FIDELITY, difference, tables
from vmem_ros.evaluation.scores import Scores
from vmem_ros.files import write_text
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.reporting.plots import Panel, draw_intervals, draw_lines
from vmem_ros.reporting.report import Report, Value, as_json
from vmem_ros.reporting.sections import replace_section

#: A page that holds these two lines keeps everything around them when results are written to it.
MARKS = ("<!-- vmem evaluate: begin -->", "<!-- vmem evaluate: end -->")
FIGURES, WAY_BACK, DISTANCE = "figures.json", "way_back.png", "distance.png"

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

    def add(self, study: HouseResult) -> None:
        """Add a house, and draw a sheet of it if it is the first of a few."""
        self.folder.mkdir(parents=True, exist_ok=True)
        walk = next(course for course in study.courses if course.name == "out and back")
        if len(self.scores) % _HOUSES_PER_SHEET == 0:
            name = f"house_{study.seed}.jpg"
            write_image_grid(self.folder / name, [_sheet(study)])
            caption = f"House {study.seed}, from the given view on the way out and back, some of the poses"
            self.sheets.append((name, caption))
        self.scores[study.seed] = study.scores
        self.walked_m[study.seed] = walk.walked_m

    @property
    def report(self) -> Report:
        """The tables and pictures of all houses so far."""
        pictures = [
            (WAY_BACK, "Views of the way back against those of the way out; dots are means over houses"),
            (DISTANCE, "Means over houses at each pose"),
            *self.sheets,
        ]
        return Report("Evaluation", self._summary(), tables(list(self.scores.values())), pictures, self.settings)

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
        """Put the report between :data:`MARKS` of a page.

        :raises ValueError: the page exists and lacks the marks.
        """
        page = path.read_text(encoding="utf-8") if path.exists() else f"# Evaluation\n\n{MARKS[0]}\n{MARKS[1]}\n"
        pictures = Path(os.path.relpath(self.folder, path.parent)).as_posix()
        write_text(path, replace_section(page, MARKS, self.report.body(pictures_in=pictures), path))

    def _summary(self) -> str:
        houses = list(self.scores.values())
        first = next(iter(houses[0]))
        parts = []
        for title, (figure, digits) in {n: f for n, f in CONSISTENCY.items() if n.startswith("way back")}.items():
            gap = difference(houses, first, self.rival, figure)
            parts.append(f"{gap.text(digits, signed=True)} in {title.removeprefix('way back ')}")
        figure, digits = FIDELITY["PSNR dB"]
        truth = difference(houses, first, self.rival, figure).text(digits, signed=True)
        count = f"{len(houses)} house{'s' if len(houses) > 1 else ''}"
        return (
            f"{count} that no model was trained on. From one given view a world is asked for a loop round a room and "
            "for a walk out and back, and each method draws them from the same noise. On the way back "
            f"`{first}` is above `{self.rival}` by {', '.join(parts)}; against the truth by {truth} dB."
        )

    def _draw(self) -> None:
        houses = list(self.scores.values())
        back = {name: mean_interval([house[name].back.psnr_db for house in houses]) for name in houses[0]}
        draw_intervals(
            self.folder / WAY_BACK,
            {name: interval for name, interval in back.items() if math.isfinite(interval.mean)},
            title="Way back against way out",
            x_label=f"PSNR in dB, 95 % intervals over {len(houses)} houses",
        )
        walked_m = torch.stack(list(self.walked_m.values())).mean(dim=0).tolist()
        half = len(walked_m) // 2
        since_m = [walked_m[half + i] - walked_m[half - 1 - i] for i in range(half)]
        truth = {name: _along([house[name].truth_db for house in houses]) for name in houses[0]}
        twins = {name: _along([house[name].back_db for house in houses]) for name in houses[0]}
        draw_lines(
            self.folder / DISTANCE,
            [
                Panel(
                    "against the truth", "metres walked from the given view", walked_m, truth, {"back": walked_m[half]}
                ),
                Panel("against the way out", "metres walked since the same pose", since_m, twins, {}),
            ],
            y_label="PSNR in dB",
        )


def _along(houses: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over houses at each pose."""
    return [mean_interval(values).mean for values in zip(*houses, strict=True)]


def _sheet(study: HouseResult) -> Block:
    walk = next(course for course in study.courses if course.name == "out and back")
    half = len(walk.truths) // 2
    out = np.unique(np.linspace(0, half - 1, min(_COLUMNS, half)).round().astype(int)).tolist()
    chosen = [*out, *(2 * half - 1 - i for i in reversed(out))]
    rows = {"truth": [truth.image for truth in walk.truths]}
    rows |= {name: list(answers["out and back"]) for name, answers in study.answers.items()}
    return Block(
        f"House {study.seed}",
        {name: [walk.start.image, *(pictures[i] for i in chosen)] for name, pictures in rows.items()},
        ["given", *(f"out {i + 1}" for i in out), *(f"back {i + 1}" for i in reversed(out))],
    )
