"""What a comparison of memories leaves behind: tables with intervals, figures for programs, and sheets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from vmem_ros.evaluation.memory_trial import OBSERVE, SHOW, MemoryTrial
from vmem_ros.evaluation.metric_values import MetricValues
from vmem_ros.evaluation.recorded_run import AskedFrame, spread
from vmem_ros.evaluation.recorded_scores import RecordedScores, Shown, Whole
from vmem_ros.evaluation.registry import METRICS, PSNR
from vmem_ros.files import write_text
from vmem_ros.protocols import Memory
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.reporting.json_text import as_json
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.sections import Marks, write_sections
from vmem_ros.reporting.tables import Column, Table, Value

#: Between these lines of a page stands the report, and between the others the short table alone.
MARKS: Marks = ("<!-- vmem evaluate memories: begin -->", "<!-- vmem evaluate memories: end -->")
SHORT_MARKS: Marks = (
    "<!-- vmem evaluate memories, in short: begin -->",
    "<!-- vmem evaluate memories, in short: end -->",
)
FIGURES = "figures.json"

_SHARE = "share shown"
_SSIM = METRICS["ssim"]
_WHAT = (
    "Shown: what memory shows, with holes, compared where all memories show something. Whole: the same picture with "
    "its holes inpainted, alike for all. Depth error: the median of its share of the depth."
)
_COSTS = (
    "Medians over all places, memories in turns within one run. Index: what a memory keeps beside the pictures of its "
    "views."
)


@dataclass(eq=False)
class MemoryReport:
    """Collects places and writes the results.

    :param folder: for the results; it is made.
    :param settings: what was done, and the command that does it again.
    :param pictures: how many poses are on the sheet of the first place of each kind.
    """

    folder: Path
    settings: Mapping[str, Value]
    pictures: int = 4
    trials: list[MemoryTrial] = field(default_factory=list)
    sheets: list[tuple[str, str]] = field(default_factory=list)

    def add(self, trial: MemoryTrial, frames: Sequence[AskedFrame]) -> None:
        """Add a place with what was answered there, and draw a sheet of it if it is the first of its kind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if trial.place.kind not in self._kinds:
            name = f"{trial.place.kind.lower().replace(' ', '_').replace(',', '')}.jpg"
            write_image_grid(self.folder / name, [self._block(trial, frames)])
            self.sheets.append(
                (name, f"{trial.place.title}: poses that no memory was shown, and what each shows there")
            )
        self.trials.append(trial)

    def write(self) -> None:
        """Write ``report.md``, ``report.json`` and ``figures.json``."""
        places = [
            {
                "title": trial.place.title,
                "kind": trial.place.kind,
                "memories": {name: scores.record() for name, scores in trial.means().items()},
            }
            for trial in self.trials
        ]
        write_text(self.folder / FIGURES, as_json({"settings": self.settings, "places": places}))
        self.report.write(self.folder)

    def write_page(self, path: Path) -> None:
        """Put the report between :data:`MARKS` of a page, and the short table between :data:`SHORT_MARKS`.

        :raises ValueError: the page exists and has neither.
        """
        pictures = Path(os.path.relpath(self.folder, path.parent)).as_posix()
        sections = {MARKS: self.report.body(pictures_in=pictures), SHORT_MARKS: self.short_table.body()}
        write_sections(path, sections, title="Memories")

    @property
    def report(self) -> Report:
        """Tables and pictures of all places so far."""
        tables = [self._table(kind) for kind in self._kinds]
        return Report("Memories", self._summary(), [*tables, self._costs()], self.sheets, self.settings)

    @property
    def short_table(self) -> Table:
        """The figures to quote."""
        rows: list[Mapping[str, Value]] = []
        for kind in self._kinds:
            for name, scores in self._of(kind).items():
                shown = {
                    f"shown: {m.heading}": _mean([s.shown for s in scores], m.name, m.digits) for m in (PSNR, _SSIM)
                }
                share = mean_interval([each.share for each in scores]).text(2)
                rows.append({"where": kind, "memory": name, _SHARE: share, **shown})
        return Table("In short", rows, "", _columns())

    @property
    def _kinds(self) -> list[str]:
        return list(dict.fromkeys(trial.place.kind for trial in self.trials))

    def _of(self, kind: str) -> dict[str, list[RecordedScores]]:
        """Return the means of each place of a kind, by memory."""
        means = [trial.means() for trial in self.trials if trial.place.kind == kind]
        return {name: [each[name] for each in means] for name in means[0]}

    def _table(self, kind: str) -> Table:
        rows: list[Mapping[str, Value]] = []
        places = 0
        for name, scores in self._of(kind).items():
            places = len(scores)
            row: dict[str, Value] = {"memory": name, _SHARE: mean_interval([each.share for each in scores]).text(2)}
            for title, values in (("shown:", [s.shown for s in scores]), ("whole:", [s.whole for s in scores])):
                for metric in values[0].metrics():
                    row[f"{title} {metric.heading}"] = _mean(values, metric.name, metric.digits)
            rows.append(row)
        over = f" Means over {places} places with 95 % confidence intervals (Student's t)." if places > 1 else ""
        return Table(kind, rows, f"{_WHAT}{over}", _columns())

    def _costs(self) -> Table:
        rows: list[Mapping[str, Value]] = []
        for name in self.trials[0].worlds:
            medians = {what: [trial.times[name].median_ms(what) for trial in self.trials] for what in (OBSERVE, SHOW)}
            memories = [trial.worlds[name].memory for trial in self.trials]
            pictures = [_pictures_kb(memory) / len(memory) for memory in memories]
            index = [1e-3 * memory.nbytes / len(memory) - kb for memory, kb in zip(memories, pictures, strict=True)]
            rows.append(
                {
                    "memory": name,
                    "observe ms": mean_interval(medians[OBSERVE]).mean,
                    "show ms": mean_interval(medians[SHOW]).mean,
                    "index KB per view": mean_interval(index).mean,
                    "pictures KB per view": mean_interval(pictures).mean,
                }
            )
        return Table("What they cost", rows, _COSTS)

    def _block(self, trial: MemoryTrial, frames: Sequence[AskedFrame]) -> Block:
        chosen = spread(frames, self.pictures)
        rows: dict[str, list[Tensor]] = {name: [frame.shown_by(name) for frame in chosen] for name in trial.worlds}
        rows["truth"] = [frame.truth.image for frame in chosen]
        return Block(trial.place.title, rows, [frame.name for frame in chosen])

    def _summary(self) -> str:
        counts = [
            f"{trial.place.title} ({trial.place.kind}): {len(trial.place.observed)} frames observed, "
            f"{len(trial.scores)} other poses asked for"
            for trial in self.trials
        ]
        return f"Memories alone, without any network. {'; '.join(counts)}."


def _pictures_kb(memory: Memory) -> float:
    return 1e-3 * sum(view.nbytes for view in memory.views)


def _columns() -> dict[str, Column]:
    return {_SHARE: Column(2, "higher"), **Shown.columns("shown:"), **Whole.columns("whole:")}


def _mean(values: Sequence[MetricValues], name: str, digits: int) -> str:
    return mean_interval([each[name] for each in values]).text(digits)
