"""How long a call takes: a few repeats within a time limit, after one that does not count."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

# A slow call is repeated at least so often, whatever the time limit.
_FEWEST = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of every repeat, at least one."""

    seconds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{figure(self.median_ms)} / {figure(self.p90_ms)}"

    @property
    def median_ms(self) -> float:
        """The middle repeat, in milliseconds."""
        return self.quantile_ms(0.5)

    @property
    def p90_ms(self) -> float:
        """What nine of ten repeats do not exceed, in milliseconds."""
        return self.quantile_ms(0.9)

    def quantile_ms(self, share: float) -> float:
        """Return the smallest repeat that a ``share`` of the repeats does not exceed, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    def record(self) -> dict[str, float | int]:
        """Return the figures for JSON."""
        return {
            "median_ms": self.median_ms,
            "p90_ms": self.p90_ms,
            "min_ms": 1e3 * min(self.seconds),
            "repeats": len(self.seconds),
        }


@dataclass(frozen=True)
class Case(Generic[T]):
    """What is timed: ``call`` for each of ``inputs``, which are made outside the timed part, one by one.

    :param inputs: two or more; the first is a warm-up and does not count.
    :param afterwards: called after each call, outside the timed part, e.g. to take it back.
    :param beforehand: called before each call, outside the timed part.
    """

    call: Callable[[T], object]
    inputs: Iterable[T]
    afterwards: Callable[[], object] | None = None
    beforehand: Callable[[], object] | None = None


def measure(
    call: Callable[[T], object],
    inputs: Iterable[T],
    *,
    afterwards: Callable[[], object] | None = None,
    limit_s: float = 10.0,
) -> Timing:
    """Return the timing of one :class:`Case`.

    :param limit_s: after at least three timed calls no more are made once this much time has passed.
    """
    return measure_in_turn([Case(call, inputs, afterwards)], limit_s=limit_s)[0]


def measure_in_turn(cases: Sequence[Case[T]], *, limit_s: float = 10.0) -> list[Timing]:
    """Return the timings of cases that take turns, so that a machine that slows down slows all of them down.

    :param cases: with equally many inputs.
    :param limit_s: for each of them, see :func:`measure`.
    """
    seconds: list[list[float]] = [[] for _ in cases]
    end = time.perf_counter() + limit_s * len(cases)
    for number, values in enumerate(zip(*(case.inputs for case in cases), strict=True)):
        for case, value, durations in zip(cases, values, seconds, strict=True):
            if case.beforehand is not None:
                case.beforehand()
            duration = _duration(case.call, value)
            if number:
                durations.append(duration)
            if case.afterwards is not None:
                case.afterwards()
        if number >= _FEWEST and time.perf_counter() > end:
            break
    return [Timing(tuple(durations)) for durations in seconds]


def measure_stepwise(
    works: Sequence[Callable[[], Iterator[object]]], steps: Sequence[int], *, repeats: int = 1
) -> list[Timing]:
    """Return the timings of long works that take turns step by step, always the one that is least far.

    So minutes in which the machine is slow fall on all of them in proportion. Nothing warms up.

    :param works: each called ``repeats`` times, and its iterator exhausted.
    :param steps: how many items each of them yields.
    """
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        running = [work() for work in works]
        done, spent = [0] * len(works), [0.0] * len(works)
        for _turn in range(sum(steps)):
            next_one = min(range(len(works)), key=lambda i: done[i] / steps[i])
            spent[next_one] += _duration(next, running[next_one])
            done[next_one] += 1
        for durations, total in zip(seconds, spent, strict=True):
            durations.append(total)
    return [Timing(tuple(durations)) for durations in seconds]


def _duration(call: Callable[[T], object], value: T) -> float:
    _wait_for_device()
    start = time.perf_counter()
    call(value)
    _wait_for_device()
    return time.perf_counter() - start


def figure(value: float) -> str:
    """Return a figure to three digits at most, without an exponent."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _wait_for_device() -> None:
    """Kernels run behind the caller's back on a GPU: wait for them."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
