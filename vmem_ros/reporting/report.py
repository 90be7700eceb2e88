"""Reports: the same figures as report.md for people and report.json for programs."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch

from vmem_ros.files import write_text
from vmem_ros.reporting.intervals import number_text

Value = str | int | float
#: Which way a figure is better.
Better = Literal["higher", "lower"]
#: How the head of a column says it.
ARROWS: Mapping[Better, str] = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Column:
    """How the figures of a column are written.

    :param digits: decimals; ``None``: three significant digits.
    :param better: which way is better, if either is.
    """

    digits: int | None = None
    better: Better | None = None


@dataclass(frozen=True)
class Table:
    """A table of figures.

    :param rows: one mapping from column name to value per row, all with the same columns.
    :param note: a sentence under the table: what was measured how.
    :param columns: how columns are written, by name; the others are plain.
    """

    title: str
    rows: Sequence[Mapping[str, Value]]
    note: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the table as Markdown under its title."""
        return f"## {self.title}\n\n{self.body()}"

    def body(self) -> str:
        """Return the table and its note as Markdown; an arrow in the head of a column says which way is better."""
        names = list(self.rows[0]) if self.rows else []
        columns = {name: self.columns.get(name, Column()) for name in names}
        heads = [name if c.better is None else f"{name} {ARROWS[c.better]}" for name, c in columns.items()]
        lines = [_line(heads), _line(["---"] * len(names))]
        lines += [_line([_text(row[name], c.digits) for name, c in columns.items()]) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


@dataclass(frozen=True)
class Report:
    """What was done and what came out.

    :param summary: one paragraph.
    :param pictures: (file beside the report, caption).
    """

    title: str
    summary: str
    tables: Sequence[Table]
    pictures: Sequence[tuple[str, str]] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)

    def body(self, *, pictures_in: str = "") -> str:
        """Return everything under the title as Markdown.

        :param pictures_in: folder of the pictures as seen from the page; empty: they are beside it.
        """
        prefix = f"{pictures_in}/" if pictures_in else ""
        parts = [self.summary, ""]
        parts += [f"![{caption}]({prefix}{name})\n\n*{caption}*\n" for name, caption in self.pictures]
        parts += [table.markdown() for table in self.tables]
        parts += ["## How", "", *(f"- {k}: {_text(v)}" for k, v in self.settings.items())]
        parts += [*(f"- {k}: {v}" for k, v in describe_machine().items()), f"- date: {_now()}", ""]
        return "\n".join(parts)

    def write(self, folder: Path) -> None:
        """Write ``report.md`` and ``report.json`` into a folder."""
        write_text(folder / "report.md", f"# {self.title}\n\n{self.body()}")
        record = {
            "title": self.title,
            "date": _now(),
            "machine": describe_machine(),
            "settings": self.settings,
            "tables": {table.title: table.rows for table in self.tables},
        }
        write_text(folder / "report.json", as_json(record))


def describe_machine() -> dict[str, str]:
    """Return what figures depend on: processor, cores, system, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    try:
        own = version("vmem_ros")
    except PackageNotFoundError:
        own = "source tree"
    return {
        "processor": f"{_processor()}, {cores} cores",
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "vmem_ros": own,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(value: Value, digits: int | None = None) -> str:
    if not isinstance(value, float):
        return str(value)
    if digits is not None or not math.isfinite(value):
        return number_text(value, digits or 0)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1g}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"


def as_json(record: object) -> str:
    """Return mappings, sequences and values as a JSON text.

    JSON knows neither NaN nor infinity: unknown becomes null, infinite (a PSNR of identical pictures) "identical".
    """
    return json.dumps(_finite(record), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "identical"
    return value


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
