"""Results of a run as Markdown for people and JSON for programs; both are whole files after every benchmark."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from vmem_ros.benchmarking.outcome import Budget, Figures, Outcome
from vmem_ros.evaluation.report import describe_machine

#: A file that holds these two lines keeps everything around them when results are written to it.
BEGIN, END = "<!-- vmem bench: begin -->", "<!-- vmem bench: end -->"


@dataclass
class Results:
    """What was measured so far.

    :param command: the command line that measures it again.
    """

    command: str
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def machine(self) -> dict[str, str]:
        """What the figures depend on."""
        return {**describe_machine(), "threads of torch": str(torch.get_num_threads())}

    def markdown(self) -> str:
        """Return the machine, the budgets and all tables as Markdown."""
        head = [f"`{self.command}`", "", *(f"- {k}: {v}" for k, v in self.machine.items())]
        head += [f"- date: {self.started.date().isoformat()}", ""]
        budgets = [b.row() for o in self.outcomes.values() for b in o.budgets]
        tables = (
            [Figures("Budgets", budgets, "What the design allows, and the medians of this run.")] if budgets else []
        )
        tables += [table for o in self.outcomes.values() for table in o.tables]
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
        _replace(path, json.dumps(_finite(record), indent=2, allow_nan=False) + "\n")

    def write_markdown(self, path: Path) -> None:
        """Write the tables to a file; between its lines :data:`BEGIN` and :data:`END`, if it has them."""
        before, after = f"{BEGIN}\n", f"{END}\n"
        if path.exists():
            old = path.read_text(encoding="utf-8")
            if BEGIN not in old or END not in old.partition(BEGIN)[2]:
                raise ValueError(f"{path} exists and has no lines '{BEGIN}' and '{END}' to write between: add them")
            head, _, rest = old.partition(BEGIN)
            before, after = head + before, END + rest.partition(END)[2]
        _replace(path, f"{before}\n{self.markdown()}\n{after}")

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


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that an interrupted run leaves whole files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
