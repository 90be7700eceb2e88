"""Results of a run as Markdown for people and JSON for programs; both are whole files after every benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures
from vmem_ros.files import write_text
from vmem_ros.reporting.machine import describe_machine
from vmem_ros.reporting.sections import replace_section

#: A file that holds these two lines keeps everything around them when results are written to it.
BEGIN, END = "<!-- vmem bench: begin -->", "<!-- vmem bench: end -->"


def own_marks(name: str) -> tuple[str, str]:
    """Return the two lines between which a file keeps one benchmark apart from the others."""
    return f"<!-- vmem bench {name}: begin -->", f"<!-- vmem bench {name}: end -->"


def check_page(path: Path, names: Collection[str]) -> None:
    """Raise :class:`ValueError` where :meth:`Results.write_markdown` would after measuring these benchmarks."""
    text = path.read_text(encoding="utf-8") if path.exists() else None
    if text is not None and any(own_marks(name)[0] not in text for name in names):
        replace_section(text, (BEGIN, END), "", path)


@dataclass
class Results:
    """What was measured so far.

    :param command: the command line that measures it again.
    """

    command: str
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    outcomes: dict[str, BenchmarkResult] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def machine(self) -> dict[str, str]:
        """What the figures depend on."""
        return {**describe_machine(), "threads of torch": str(torch.get_num_threads())}

    def markdown(self, names: Collection[str] | None = None) -> str:
        """Return the machine, the budgets and all tables as Markdown; ``names``: of these benchmarks alone."""
        outcomes = [o for name, o in self.outcomes.items() if names is None or name in names]
        head = [f"`{self.command}`", "", *(f"- {k}: {v}" for k, v in self.machine.items())]
        head += [f"- date: {self.started.date().isoformat()}", ""]
        budgets = [b.row() for o in outcomes for b in o.budgets]
        tables = (
            [Figures("Budgets", budgets, "What the design allows, and the medians of this run.")] if budgets else []
        )
        tables += [table for o in outcomes for table in o.tables]
        return "\n".join([*head, *(table.markdown() for table in tables)])

    def write_json(self, path: Path) -> None:
        """Write everything to a JSON file, over an older one."""
        record = {
            "command": self.command,
            "date": self.started.isoformat(timespec="seconds"),
            "machine": self.machine,
            "benchmarks": {
                name: {
                    "seconds": self.seconds[name],
                    "tables": [table.record() for table in outcome.tables],
                    "budgets": [_budget_record(b) for b in outcome.budgets],
                }
                for name, outcome in self.outcomes.items()
            },
        }
        write_text(path, json.dumps(_finite(record), indent=2, allow_nan=False) + "\n")

    def write_markdown(self, path: Path) -> None:
        """Write the tables to a file; if it has marks, only between them.

        A benchmark with marks of its own (:func:`own_marks`) goes there, the others between :data:`BEGIN` and
        :data:`END`. So one benchmark can be measured again, perhaps on another machine, and the rest stays.

        :raises ValueError: the file exists, and has no marks for what was measured.
        """
        if not path.exists():
            write_text(path, f"{BEGIN}\n\n{self.markdown()}\n{END}\n")
            return
        text = path.read_text(encoding="utf-8")
        apart = [name for name in self.outcomes if own_marks(name)[0] in text]
        together = [name for name in self.outcomes if name not in apart]
        for name in apart:
            text = replace_section(text, own_marks(name), self.markdown([name]), path)
        if together:
            text = replace_section(text, (BEGIN, END), self.markdown(together), path)
        write_text(path, text)

    def draw(self, folder: Path) -> Sequence[Path]:
        """Draw all plots into a folder and return their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        plots = {name: draw for o in self.outcomes.values() for name, draw in o.plots.items()}
        for name, draw in plots.items():
            draw(folder / name)
        return [folder / name for name in plots]


def _budget_record(budget: Budget) -> dict[str, Any]:
    return {"what": budget.what, "limit": budget.limit, "measured": budget.measured, "unit": budget.unit}


def _finite(value: Any) -> Any:
    """Return JSON-able values with what is not a number as ``None``: JSON knows neither NaN nor infinity."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
