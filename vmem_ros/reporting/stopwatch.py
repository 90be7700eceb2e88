"""How long things take: durations collected by name, as a table of medians."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from vmem_ros.reporting.tables import Table, Value


class Stopwatch:
    """Collects durations under names, in the order in which the names came up."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    @contextmanager
    def time(self, name: str, *, count: int = 1) -> Iterator[None]:
        """Time a block that does something ``count`` times; nothing is noted if it raises."""
        start = time.perf_counter()
        yield
        self._seconds.setdefault(name, []).extend([(time.perf_counter() - start) / count] * count)

    def median_ms(self, name: str) -> float:
        """Return the median of the durations under a name in milliseconds; NaN if there are none."""
        seconds = self._seconds.get(name)
        return 1e3 * float(np.median(seconds)) if seconds else float("nan")

    def table(self, title: str, note: str = "") -> Table:
        """Return the median, the 95th percentile and the number of each."""
        rows: list[dict[str, Value]] = [
            {
                "what": name,
                "median ms": self.median_ms(name),
                "95 % ms": 1e3 * float(np.percentile(seconds, 95)),
                "times": len(seconds),
            }
            for name, seconds in self._seconds.items()
        ]
        return Table(title, rows, note)
