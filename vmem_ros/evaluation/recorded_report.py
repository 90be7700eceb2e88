"""What an evaluation on recordings leaves behind: tables, figures for programs, sheets and plots."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from vmem_ros.evaluation.recorded_run import NEAREST, TSDF, AskedFrame, RecordedRun, drawn_by
from vmem_ros.evaluation.recorded_scores import RecordedScores, Shown, Whole
from vmem_ros.evaluation.registry import METRICS, PSNR
from vmem_ros.files import write_text
from vmem_ros.pose_refinement import summary_of
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.json_text import as_json
from vmem_ros.reporting.plots import Panel, draw_lines
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.sections import Marks, write_sections
from vmem_ros.reporting.tables import Column, Table, Value

#: Between these lines of a page stands the report, and between the others the short table alone.
MARKS: Marks = ("<!-- vmem evaluate recorded: begin -->", "<!-- vmem evaluate recorded: end -->")
SHORT_MARKS: Marks = (
    "<!-- vmem evaluate recorded, in short: begin -->",
    "<!-- vmem evaluate recorded, in short: end -->",
)
FIGURES, FRAMES = "figures.json", "frames.csv"

_SHARE = "share shown"
_COLUMNS = {_SHARE: Column(2, "higher"), **Shown.columns("shown:"), **Whole.columns("whole:")}
_SSIM = METRICS["ssim"]
_WHAT = (
    "Means over the frames that were asked for. Shown: what is known, with holes, compared where all methods that know "
    "of holes show something. Whole: the picture without holes. Corrected: after the best gain and offset of each "
    "channel, for exposure differs. Depth error: the median of its share of the depth."
)
_TIMES = "Milliseconds a frame, in turns within one run; `vmem bench recorded` measures with more care."


@dataclass(eq=False)
class RecordedResult:
    """What was measured of one recording so far.

    :param title: also of its files; unlike that of any other.
    :param pictures: how many frames are on its sheet.
    """

    title: str
    run: RecordedRun
    settings: Mapping[str, Value]
    pictures: int = 4
    numbers: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    scores: list[Mapping[str, RecordedScores]] = field(default_factory=list)
    chosen: list[AskedFrame] = field(default_factory=list)
    latest: AskedFrame | None = None

    def add(self, frame: AskedFrame) -> None:
        """Add a frame; its pictures are kept if they will be on the sheet."""
        if len(self.scores) in self._on_sheet():
            self.chosen.append(frame)
        self.latest = frame
        self.numbers.append(frame.number)
        self.names.append(frame.name)
        self.scores.append(frame.scores)

    @property
    def means(self) -> dict[str, RecordedScores]:
        """Means over frames by method."""
        return {name: RecordedScores.mean([s[name] for s in self.scores]) for name in self.scores[0]}

    @property
    def all_settings(self) -> dict[str, Value]:
        """The settings, with what became of poses."""
        return {**self.settings, "poses of what the camera took": summary_of(self.run.refinements)}

    @property
    def sheet(self) -> str:
        """Name of the sheet's file."""
        return f"{self.title}.jpg"

    @property
    def plot(self) -> str:
        """Name of the plot's file."""
        return f"{self.title}_psnr.png"

    def draw(self, folder: Path) -> None:
        """Write the sheet and the plot."""
        write_image_grid(folder / self.sheet, [self._block()])
        lines = {name: [scores[name] for scores in self.scores] for name in self.scores[0]}
        shown = {name: [each.shown[PSNR.name] for each in line] for name, line in lines.items()}
        whole = {name: [each.whole[PSNR.name] for each in line] for name, line in lines.items()}
        panels = [
            Panel("where all show something", "frame", self.numbers, shown, {}),
            Panel("whole picture", "frame", self.numbers, whole, {}),
        ]
        draw_lines(folder / self.plot, panels, y_label=PSNR.heading)

    def _on_sheet(self) -> set[int]:
        asked = len(self.run.split.asked)
        # The middle of equal parts: the ends of a recording are its least typical frames.
        return {int((i + 0.5) * asked / self.pictures) for i in range(min(self.pictures, asked))}

    def _block(self) -> Block:
        # Whoever interrupts early has the latest frame to look at.
        frames = self.chosen or [frame for frame in [self.latest] if frame is not None]
        rows: dict[str, list[Tensor]] = {"nearest frame": [f.answers[NEAREST].whole for f in frames]}
        if self.run.tsdf is not None:
            rows["TSDF"] = [f.shown_by(TSDF) for f in frames]
        rows["memory shows"] = [f.shown_by(drawn_by(next(iter(self.run.engines)))) for f in frames]
        rows |= {f"drawn by {name}": [f.answers[drawn_by(name)].whole for f in frames] for name in self.run.engines}
        rows["truth"] = [f.truth.image for f in frames]
        return Block(self.title, rows, [f.name for f in frames])


@dataclass(eq=False)
class RecordedReport:
    """Collects recordings and writes the results.

    :param folder: for the results; it is made.
    :param settings: what was done, and the command that does it again.
    :param missing: methods that could not take part, and why.
    """

    folder: Path
    settings: Mapping[str, Value]
    missing: Mapping[str, str] = field(default_factory=dict)
    results: list[RecordedResult] = field(default_factory=list)

    def title_for(self, name: str) -> str:
        """Return a title for a recording that makes a file's name, unlike those before."""
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "recording"
        taken = {result.title for result in self.results}
        numbered = (f"{plain}_{i}" for i in range(2, len(taken) + 2))
        return next(title for title in (plain, *numbered) if title not in taken)

    def write(self) -> None:
        """Write ``report.md``, ``report.json``, ``figures.json``, ``frames.csv`` and the pictures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for result in self._measured:
            result.draw(self.folder)
        record = {
            "settings": self.settings,
            "missing": self.missing,
            "recordings": {
                result.title: {
                    "settings": result.all_settings,
                    "means": {name: scores.record() for name, scores in result.means.items()},
                    "frames": [
                        {"frame": name, "number": number, "methods": {m: s.record() for m, s in scores.items()}}
                        for name, number, scores in zip(result.names, result.numbers, result.scores, strict=True)
                    ],
                }
                for result in self._measured
            },
        }
        write_text(self.folder / FIGURES, as_json(record))
        write_text(self.folder / FRAMES, self._csv())
        self.report.write(self.folder)

    def write_page(self, path: Path) -> None:
        """Put the report between :data:`MARKS` of a page, and the short table between :data:`SHORT_MARKS`.

        :raises ValueError: the page exists and has neither.
        """
        pictures = Path(os.path.relpath(self.folder, path.parent)).as_posix()
        sections = {MARKS: self.report.body(pictures_in=pictures), SHORT_MARKS: self.short_table.body()}
        write_sections(path, sections, title="Recordings")

    @property
    def report(self) -> Report:
        """Tables and pictures of all recordings so far."""
        pictures = [
            each
            for result in self._measured
            for each in (
                (result.sheet, f"{result.title}: frames that no method was shown, and what each makes of them"),
                (result.plot, f"{result.title}, frame by frame. What memory shows is the same whatever draws the rest"),
            )
        ]
        settings = dict(self.settings)
        for result in self._measured:
            settings |= {f"{result.title}: {name}": value for name, value in result.all_settings.items()}
        tables = [self._table(result.title, result.means) for result in self._measured]
        tables += [result.run.times.table(f"{result.title}: time", _TIMES) for result in self._measured]
        if len(self._measured) > 1:
            tables.insert(0, self._table("All recordings", self._overall(), "Means over the recordings."))
        return Report("Recordings", self._summary(), tables, pictures, settings)

    @property
    def short_table(self) -> Table:
        """The figures to quote."""
        figures = (PSNR, _SSIM)
        rows: list[Mapping[str, Value]] = []
        for result in self._measured:
            which = {"recording": result.title} if len(self._measured) > 1 else {}
            for name, scores in self._with_missing(result.means).items():
                shown = {f"shown: {m.heading}": scores.shown[m.name] for m in figures}
                whole = {f"whole: {m.heading}": scores.whole[m.name] for m in figures}
                rows.append({**which, "method": name, _SHARE: scores.share, **shown, **whole})
        return Table("In short", rows, "", _COLUMNS)

    @property
    def _measured(self) -> list[RecordedResult]:
        return [result for result in self.results if result.scores]

    def _overall(self) -> dict[str, RecordedScores]:
        means = [result.means for result in self._measured]
        common = [name for name in means[0] if all(name in each for each in means)]
        return {name: RecordedScores.mean([each[name] for each in means]) for name in common}

    def _with_missing(self, means: Mapping[str, RecordedScores]) -> dict[str, RecordedScores]:
        nan = float("nan")
        unknown = RecordedScores(
            nan, Shown(dict.fromkeys((m.name for m in Shown.metrics()), nan)),
            Whole(dict.fromkeys((m.name for m in Whole.metrics()), nan)),
        )  # fmt: skip
        absent = {name: why for name, why in self.missing.items() if name not in means}
        return {**means, **{f"{name} ({why})": unknown for name, why in absent.items()}}

    def _table(self, title: str, means: Mapping[str, RecordedScores], note: str = _WHAT) -> Table:
        rows: list[Mapping[str, Value]] = [
            {"method": name, _SHARE: scores.share, **scores.shown.cells("shown:"), **scores.whole.cells("whole:")}
            for name, scores in self._with_missing(means).items()
        ]
        return Table(title, rows, note, _COLUMNS)

    def _csv(self) -> str:
        text = io.StringIO()
        names = ["recording", "frame", "number", "method", *next(iter(self._measured[0].means.values())).record()]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        for result in self._measured:
            for frame, number, of_frame in zip(result.names, result.numbers, result.scores, strict=True):
                for method, scores in of_frame.items():
                    where = {"recording": result.title, "frame": frame, "number": number, "method": method}
                    writer.writerow(where | {k: f"{v:.5f}" for k, v in scores.record().items()})
        return text.getvalue()

    def _summary(self) -> str:
        counts = [
            f"{result.title}: {len(result.run.split.observed)} frames observed, {len(result.scores)} others asked for"
            for result in self._measured
        ]
        return f"Every other frame of a recording is observed, the others are asked for. {'; '.join(counts)}."
