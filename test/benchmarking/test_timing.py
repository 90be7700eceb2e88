"""The clock of ``vmem bench``."""

from __future__ import annotations

import math
import time

import pytest

from vmem_ros.benchmarking.timing import Case, Timing, figure, measure, measure_in_turn, measure_stepwise


def test_percentiles_are_repeats_that_happened() -> None:
    timing = Timing(tuple(i / 1000 for i in (5, 1, 4, 2, 3, 10, 6, 7, 9, 8)))
    assert (timing.median_ms, timing.p90_ms) == (pytest.approx(5), pytest.approx(9))
    assert Timing((0.002,)).p90_ms == pytest.approx(2)
    assert timing.record() == {
        "median_ms": pytest.approx(5),
        "p90_ms": pytest.approx(9),
        "min_ms": pytest.approx(1),
        "repeats": 10,
    }


def test_first_call_and_taking_back_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def call(seconds: float) -> None:
        nonlocal now
        now += seconds

    timing = measure(call, [5.0, 0.5, 0.25], afterwards=lambda: call(3.0))
    assert now == 5.75 + 3 * 3.0
    assert timing.seconds == (0.5, 0.25)


def test_cases_take_turns() -> None:
    order: list[str] = []
    cases = [Case(order.append, [f"{name}{i}" for i in range(3)], lambda: order.append("back")) for name in "ab"]
    first, second = measure_in_turn(cases)
    assert [entry for entry in order if entry != "back"] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert order[1::2] == ["back"] * 6
    assert len(first.seconds) == len(second.seconds) == 2


def test_a_slow_call_is_repeated_three_times_whatever_the_limit() -> None:
    assert len(measure(lambda _: None, range(100), limit_s=0.0).seconds) == 3


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (math.nan, "-"), (math.inf, "-")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_long_works_take_turns_in_proportion(monkeypatch):
    now, order = 0.0, []
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def work(name, step_s, steps):
        nonlocal now
        for _ in range(steps):
            now += step_s
            order.append(name)
            yield

    works = [lambda: work("a", 0.5, 2), lambda: work("b", 2.0, 4)]
    short, long = measure_stepwise(works, [2, 4], repeats=2)
    assert "".join(order) == "abbabb" * 2
    assert (short.seconds, long.seconds) == ((1.0, 1.0), (8.0, 8.0))
