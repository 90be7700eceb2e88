"""What a benchmark is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from vmem_ros.benchmarking.timing import Timing, figure
from vmem_ros.memory import DEFAULT_MEMORY, load_memory
from vmem_ros.protocols import Memory
from vmem_ros.recordings import Recording
from vmem_ros.reporting.tables import Table

#: ``quick``: seconds, to see that it works; ``normal``: the published figures; ``full``: also what takes much longer.
Effort = Literal["quick", "normal", "full"]
Cell = str | int | float | Timing
Row = Mapping[str, Cell]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How much is measured, and where.

    :param device: ``cpu``, ``cuda`` or ``cuda:N``; where memory and generation run.
    :param depth_model: folder of a depth network; ``None``: the one of the package.
    :param memory: kind of memory, for benchmarks that take any.
    :param busy: the memory is measured with busy processes on the other cores, too.
    :param recording: of a real camera, for the benchmark of that name.
    :param passes: over the recording.
    :param voxel_m: of the TSDF beside it; ``None``: what users would choose.
    """

    effort: Effort = "normal"
    device: str = "cpu"
    depth_model: str | None = None
    memory: str = DEFAULT_MEMORY
    busy: bool = False
    recording: Recording | None = None
    passes: int = 1
    voxel_m: float | None = None

    def new_memory(self) -> Memory:
        """Return an empty memory of the chosen kind."""
        return load_memory(self.memory, device=self.device)

    def pick(self, *, quick: T, normal: T, full: T | None = None) -> T:
        """Return the value for this effort; ``full`` is ``normal`` unless given."""
        if self.effort == "quick":
            return quick
        return full if self.effort == "full" and full is not None else normal


@dataclass(frozen=True)
class Figures:
    """A table whose cells may be timings, shown as ``median / 90th percentile`` in milliseconds.

    :param rows: one mapping from column name to cell per row, all with the same columns.
    :param note: what was measured how.
    """

    title: str
    rows: Sequence[Row]
    note: str = ""

    def markdown(self) -> str:
        """Return the table as Markdown."""
        return Table(self.title, [{k: _text(v) for k, v in row.items()} for row in self.rows], self.note).markdown()

    def record(self) -> dict[str, object]:
        """Return the table for JSON, with every timing in full."""
        rows = [{k: v.record() if isinstance(v, Timing) else v for k, v in row.items()} for row in self.rows]
        return {"title": self.title, "note": self.note, "rows": rows}


@dataclass(frozen=True)
class Budget:
    """What was designed for and what came out.

    :param limit: of ``measured``, both in the same ``unit``; smaller is better.
    """

    what: str
    limit: float
    measured: float
    unit: str = "ms"

    def row(self) -> Row:
        """Return the row of the table of budgets."""
        return {
            "what": self.what,
            "budget": f"{figure(self.limit)} {self.unit}",
            "measured": f"{figure(self.measured)} {self.unit}",
            "met": "yes" if self.measured <= self.limit else "no",
        }


@dataclass(frozen=True)
class BenchmarkResult:
    """Figures of one benchmark.

    :param plots: file name to a function that draws that picture to a path.
    """

    tables: Sequence[Figures]
    budgets: Sequence[Budget] = ()
    plots: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


def median_ms(row: Row, column: str) -> float:
    """Return the median of a timing in a row."""
    cell = row[column]
    assert isinstance(cell, Timing), f"{column} is no timing"
    return cell.median_ms


def _text(cell: Cell) -> str | int:
    if isinstance(cell, float):
        return figure(cell)
    return str(cell) if isinstance(cell, Timing) else f"{cell:,}" if isinstance(cell, int) else cell
