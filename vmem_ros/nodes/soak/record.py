"""What a soak has seen: samples of the node, calls of the planners, and what should not have been."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vmem_ros.nodes.soak.process_figures import ProcessFigures
from vmem_ros.reporting.machine import describe_machine
from vmem_ros.reporting.tables import Table, Value

# Shares of the time: while it warms up nothing counts; what comes next is held against the end.
_WARM, _BEGIN, _END = 0.2, 0.4, 0.8
# More than this between the two is growth.
_MORE_ALLOWED = {"descriptors": (1.1, 5.0), "threads": (1.1, 2.0), "resident memory, MB": (1.25, 50.0)}


@dataclass(frozen=True)
class Sample:
    """The node at one moment.

    :param answer_s: of a rendering, NaN: refused, for the queue was full or the world empty.
    """

    at_s: float
    node: ProcessFigures
    answer_s: float


@dataclass
class SoakRecord:
    """Filled while a soak runs.

    :param unexpected: in words; empty is what it should be.
    """

    seconds: float
    seed: int
    engine: str
    samples: list[Sample] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    killed: int = 0
    unexpected: list[str] = field(default_factory=list)

    def take_calls(self, path: Path) -> None:
        """Take in what a planner has noted."""
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.calls += [json.loads(line) for line in lines]

    def judge(self) -> None:
        """Add what was unexpected of the calls, and what grew."""
        wrong = Counter((c["call"], c["code"]) for c in self.calls if c["unexpected"])
        for (call, code), number in wrong.items():
            first = next(c for c in self.calls if c["unexpected"] and (c["call"], c["code"]) == (call, code))
            self.unexpected.append(f"{number} x {call!r} ended with {code}; the first: {first['unexpected']}")
        for what, values in self._series().items():
            factor, offset = _MORE_ALLOWED.get(what, (np.inf, 0.0))
            before, after = self._window(values, _WARM, _BEGIN), self._window(values, _END, 1.0)
            if after > before * factor + offset:
                self.unexpected.append(f"{what} grew from {before:.0f} to {after:.0f}")

    def tables(self) -> list[Table]:
        """Return what it held and how calls ended."""
        machine = describe_machine()
        note = (
            f"`vmem soak --minutes {self.seconds / 60:g} --seed {self.seed}`, engine {self.engine}, "
            f"{machine['processor']}, {time.strftime('%Y-%m-%d')}: {len(self.calls):,} calls of two planners, "
            f"{self.killed} subscribers killed. Medians from 20 to 40 % of the time and of its last fifth; the slope "
            "is that of a straight line through all after the first fifth. Answer: `~/render` without pictures, once a "
            "second."
        )
        held: list[dict[str, Value]] = [
            {
                "the node": what,
                "after a fifth": self._window(values, _WARM, _BEGIN),
                "at the end": self._window(values, _END, 1.0),
                "highest": float(np.nanmax(values)),
                "slope an hour": self._slope(values),
            }
            for what, values in self._series().items()
        ]
        names = dict.fromkeys(row["call"] for row in self.calls)
        calls = [self._call(name, [c for c in self.calls if c["call"] == name]) for name in names]
        return [Table("What the node held", held, note), Table("How calls ended", calls)]

    def markdown(self) -> str:
        """Return tables and judgement."""
        verdict = (
            "Unexpected:\n\n" + "\n".join(f"- {each}" for each in self.unexpected)
            if self.unexpected
            else "Nothing unexpected happened."
        )
        return "\n".join([table.markdown().replace("## ", "### ", 1) for table in self.tables()] + [verdict, ""])

    def _call(self, name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Value]:
        seconds = np.array([row["seconds"] for row in rows]) * 1e3
        codes = Counter(row["code"] for row in rows)
        return {
            "call": name,
            "number": len(rows),
            "median ms": float(np.median(seconds)),
            "90 % ms": float(np.quantile(seconds, 0.9)),
            "longest ms": float(seconds.max()),
            "ended with": ", ".join(f"{number} {code}" for code, number in codes.most_common()),
        }

    def _series(self) -> dict[str, np.ndarray]:
        nodes = [sample.node for sample in self.samples]
        return {
            "resident memory, MB": np.array([n.rss_mb for n in nodes]),
            "descriptors": np.array([n.descriptors for n in nodes], float),
            "threads": np.array([n.threads for n in nodes], float),
            "answer, ms": np.array([1e3 * sample.answer_s for sample in self.samples]),
        }

    def _window(self, values: np.ndarray, begin: float, end: float) -> float:
        times = np.array([sample.at_s for sample in self.samples]) / self.seconds
        chosen = values[(times >= begin) & (times <= end)]
        return float(np.nanmedian(chosen)) if np.isfinite(chosen).any() else float("nan")

    def _slope(self, values: np.ndarray) -> float:
        times = np.array([sample.at_s for sample in self.samples])
        use = (times >= _WARM * self.seconds) & np.isfinite(values)
        return round(float(np.polyfit(times[use] / 3600, values[use], 1)[0]), 2) if use.sum() > 2 else float("nan")
