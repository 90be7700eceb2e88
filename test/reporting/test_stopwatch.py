"""Durations by name."""

import pytest

from vmem_ros.reporting import stopwatch
from vmem_ros.reporting.stopwatch import Stopwatch


def test_it_shares_time_among_what_was_done(monkeypatch):
    clock = iter([10.0, 10.8, 20.0, 20.1, 30.0])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(clock))
    watch = Stopwatch()
    with watch.time("four at once", count=4):
        pass
    with watch.time("one"):
        pass
    with pytest.raises(KeyError), watch.time("failed"):
        raise KeyError
    four, one = watch.table("Latency").rows
    assert (four["what"], four["times"], four["median ms"]) == ("four at once", 4, pytest.approx(200))
    assert (one["what"], one["times"], one["95 % ms"]) == ("one", 1, pytest.approx(100))
