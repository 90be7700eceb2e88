"""What a comparison of whole systems leaves behind: tables with intervals, figures for programs, and sheets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from vmem_ros.evaluation.ablation_report import house_block
from vmem_ros.evaluation.ablation_run import HouseResult
from vmem_ros.evaluation.ablation_tables import INVENTED, LOOP, SECONDS, TRUTH, UNSEEN, WAY_BACK, Figure, means
from vmem_ros.evaluation.memory_trial import MemoryTrial
from vmem_ros.evaluation.recorded_run import AskedFrame, spread
from vmem_ros.evaluation.recorded_scores import Whole
from vmem_ros.evaluation.registry import METRICS, PSNR
from vmem_ros.evaluation.scores import LARGELY_UNSEEN, Scores
from vmem_ros.files import write_text
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.intervals import mean_interval, number_text
from vmem_ros.reporting.json_text import as_json
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.sections import Marks, write_sections
from vmem_ros.reporting.tables import Column, Table, Value

#: Between these lines of a page stands the report, and between the others the short table alone.
MARKS: Marks = ("<!-- vmem evaluate systems: begin -->", "<!-- vmem evaluate systems: end -->")
SHORT_MARKS: Marks = (
    "<!-- vmem evaluate systems, in short: begin -->",
    "<!-- vmem evaluate systems, in short: end -->",
)
FIGURES = "figures.json"

_INTERVALS = "Means with 95 % confidence intervals over houses (Student's t)."
_HOUSES = (
    f"{_INTERVALS} Way back: every view against the one that the same system drew at the same pose on the way out. "
    "Loop: the last view against the given one. Truth: all views against exact pictures of the house; largely unseen "
    f"views are those with more than {LARGELY_UNSEEN:.0%} pixels that the given view does not see. Invented: these "
    "pixels alone; kernel distance 0: things of the right kind, gradient energy 1: as rich in edges as the truth, 0: "
    "fog."
)
_COSTS = "Memory: what it keeps of a view, all included, after the way out and back. Seconds: the mean in houses."
_RECORDED = (
    "Every other frame is observed, the others are asked for. Share: of the picture that memory shows. Whole: the "
    "picture that the network drew, with what memory shows laid over it."
)


@dataclass(eq=False)
class SystemReport:
    """Collects houses and recordings, and writes the results.

    :param folder: for the results; it is made.
    :param settings: what was done, and the command that does it again.
    :param parameters: of the network of each system.
    :param pictures: poses of a recording on its sheet.
    """

    folder: Path
    settings: Mapping[str, Value]
    parameters: Mapping[str, int]
    pictures: int = 4
    scores: dict[int, Mapping[str, Scores]] = field(default_factory=dict)
    view_kb: dict[int, Mapping[str, float]] = field(default_factory=dict)
    trials: list[MemoryTrial] = field(default_factory=list)
    sheets: list[tuple[str, str]] = field(default_factory=list)

    def add_house(self, result: HouseResult, view_kb: Mapping[str, float]) -> None:
        """Add a house, and draw a sheet of it if it is the first.

        :param view_kb: what the memory of each system keeps of a view, in thousands of bytes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.scores:
            name = f"house_{result.seed}.jpg"
            write_image_grid(self.folder / name, [house_block(result)])
            self.sheets.append((name, f"House {result.seed}, from the given view on the way out and back"))
        self.scores[result.seed] = result.scores
        self.view_kb[result.seed] = view_kb

    def add_recording(self, trial: MemoryTrial, frames: Sequence[AskedFrame]) -> None:
        """Add a recording with what was answered, and draw a sheet of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{trial.place.title.lower().replace(' ', '_')}.jpg"
        write_image_grid(self.folder / name, [self._block(trial, frames)])
        self.sheets.append((name, f"{trial.place.title}: poses that nobody was shown, and what each system draws"))
        self.trials.append(trial)

    def write(self) -> None:
        """Write ``report.md``, ``report.json`` and ``figures.json``."""
        figures = {
            "settings": self.settings,
            "houses": {
                seed: {name: {**scores.record(), "view_kb": self.view_kb[seed][name]} for name, scores in house.items()}
                for seed, house in self.scores.items()
            },
            "recordings": {
                trial.place.title: {name: scores.record() for name, scores in trial.means().items()}
                for trial in self.trials
            },
        }
        write_text(self.folder / FIGURES, as_json(figures))
        self.report.write(self.folder)

    def write_page(self, path: Path) -> None:
        """Put the report between :data:`MARKS` of a page, and the short table between :data:`SHORT_MARKS`.

        :raises ValueError: the page exists and has neither.
        """
        pictures = Path(os.path.relpath(self.folder, path.parent)).as_posix()
        sections = {MARKS: self.report.body(pictures_in=pictures), SHORT_MARKS: self.short_table.body()}
        write_sections(path, sections, title="Systems")

    @property
    def report(self) -> Report:
        """Tables and pictures of all that was added so far."""
        tables = [self._recorded(trial) for trial in self.trials]
        if self.scores:
            houses = list(self.scores.values())
            tables += [means("Houses", _figures(), houses, _HOUSES, what="system"), self._costs()]
        return Report("Systems", self._summary(), tables, self.sheets, self.settings)

    @property
    def short_table(self) -> Table:
        """The figures to quote, without their intervals."""
        rows: list[Mapping[str, Value]] = []
        houses = list(self.scores.values())
        recorded = {f"{trial.place.title}: {PSNR.heading}": trial.means() for trial in self.trials}
        for name in self.parameters:
            row: dict[str, Value] = {"system": name}
            row |= {heading: f"{means[name].whole[PSNR.name]:.{PSNR.digits}f}" for heading, means in recorded.items()}
            row |= {f.heading: number_text(f.mean(name, houses).mean, f.digits) for f in self._headlines}
            rows.append(row)
        columns = {f.heading: Column(f.digits, f.better) for f in self._headlines}
        columns |= {heading: Column(PSNR.digits, "higher") for heading in recorded}
        return Table("In short", rows, "", columns)

    @property
    def _headlines(self) -> list[Figure]:
        if not self.scores:
            return []
        return [WAY_BACK.figure(PSNR), UNSEEN.figure(PSNR), INVENTED[0], SECONDS]

    def _recorded(self, trial: MemoryTrial) -> Table:
        rows: list[Mapping[str, Value]] = []
        for name, scores in trial.means().items():
            share = "" if trial.worlds[name].composite == "none" else f"{scores.share:.2f}"
            rows.append({"system": name, "share shown": share, **scores.whole.cells("whole:")})
        return Table(trial.place.title, rows, _RECORDED, {"share shown": Column(2), **Whole.columns("whole:")})

    def _costs(self) -> Table:
        houses = list(self.scores.values())
        rows: list[Mapping[str, Value]] = [
            {
                "system": name,
                "parameters, millions": f"{1e-6 * self.parameters[name]:.1f}" if self.parameters[name] else "",
                SECONDS.heading: SECONDS.mean(name, houses).text(SECONDS.digits),
                "memory KB per view": mean_interval([kb[name] for kb in self.view_kb.values()]).text(0),
            }
            for name in self.parameters
        ]
        return Table("What they cost", rows, _COSTS, {SECONDS.heading: Column(SECONDS.digits, "lower")})

    def _block(self, trial: MemoryTrial, frames: Sequence[AskedFrame]) -> Block:
        chosen = spread(frames, self.pictures)
        rows: dict[str, list[Tensor]] = {"truth": [frame.truth.image for frame in chosen]}
        rows |= {name: [frame.answers[name].whole.cpu() for frame in chosen] for name in trial.worlds}
        return Block(trial.place.title, rows, [frame.name for frame in chosen])

    def _summary(self) -> str:
        recorded = [
            f"{trial.place.title}: {len(trial.place.observed)} frames observed, {len(trial.scores)} asked for"
            for trial in self.trials
        ]
        count = len(self.scores)
        houses = f"{count} house{'' if count == 1 else 's'} that no model was trained on, from one given view"
        where = "; ".join([*recorded, *([houses] if count else [])])
        return (
            "Four systems, the first one with exemplars, its network without a memory, and a memory without a network. "
            f"{where}."
        )


def _figures() -> list[Figure]:
    ssim = METRICS["ssim"]
    of_truth = [TRUTH.figure(PSNR), TRUTH.figure(ssim), UNSEEN.figure(PSNR), *INVENTED]
    return [WAY_BACK.figure(PSNR), WAY_BACK.figure(ssim), LOOP.figure(PSNR), LOOP.figure(ssim), *of_truth]
