"""What a busy computer does to the memory: the same calls with and without other processes on the other cores.

Cores of one processor are not as many computers: they share caches, clocks and often units that compute. So a loop of
one thread, which needs nothing of what it shares, is timed beside: what it loses, nothing that runs here can keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from vmem_ros.benchmarking.busy import BusyCores
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.benchmarking.result import Budget, Cell, Row
from vmem_ros.benchmarking.timing import Case, Timing, measure_in_turn
from vmem_ros.kernels.library import threads
from vmem_ros.memory.surfel import SurfelMemory

T = TypeVar("T")

_OPERATIONS = ("glimpse", "write")
_YARDSTICK = "loop of one thread"
_LOOPS = 200_000
# Beside what the machine takes from any program.
_MOST_TIMES = 1.2


def with_busy_cores(filler: MemoryFiller[SurfelMemory], repeats: int) -> Row:
    """Return timings of a glimpse and of writing a known view, alone and busy, in turns call by call."""
    memory, n = filler.memory, repeats + 1
    glimpse = _both(lambda targets: memory.project(targets[0]), list(filler.asks(n)), lambda: None)
    write = _both(lambda written: memory.write(*written), list(filler.known_views(n)), memory.undo)
    loop = _both(_loop, [_LOOPS] * n, lambda: None)
    row: dict[str, Cell] = {}
    for name, (alone, busy) in zip((*_OPERATIONS, _YARDSTICK), (glimpse, write, loop), strict=True):
        row |= {name: alone, f"{name}, busy": busy, f"{name}: times": busy.median_ms / alone.median_ms}
    return row


def busy_note(repeats: int) -> str:
    """Return what was measured how, for under the table."""
    count = BusyCores().count
    return (
        f"Median / 90th percentile in ms of {repeats} calls, alone and beside {count} process"
        f"{'es' if count > 1 else ''} that loop{'' if count > 1 else 's'} in Python, in turns call by call; times: of "
        "both medians. glimpse: one projection. write: one view of a known room. The loop of one thread, in Python, "
        f"shows what the machine takes from any program: its cores share what they compute with. Threads of torch: "
        f"{threads()}."
    )


def busy_budgets(row: Row) -> list[Budget]:
    """Return how much longer calls may take on a busy computer than the machine itself, and what came out in a row."""
    own = row[f"{_YARDSTICK}: times"]
    return [
        Budget(
            f"{name} with the other cores busy, over a loop of one thread, {row['surfels']:,} surfels",
            _MOST_TIMES,
            float(times) / float(own),
            "times",
        )
        for name in _OPERATIONS
        if isinstance(times := row[f"{name}: times"], float) and isinstance(own, float)
    ]


def _loop(times: int) -> None:
    for _ in range(times):
        pass


def _both(call: Callable[[T], object], inputs: Iterable[T], undo: Callable[[], object]) -> list[Timing]:
    with BusyCores() as others:

        def end() -> None:
            others.stop()
            undo()

        return measure_in_turn([Case(call, inputs, undo), Case(call, inputs, end, others.start)])
