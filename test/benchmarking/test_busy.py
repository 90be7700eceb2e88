"""Processes that keep cores busy, and that end whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmem_ros.benchmarking.busy import BusyCores
from waiting import wait_until


def cpu_ticks(pid: int) -> int:
    """Ticks of user time of a process (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc to look at processes")


def test_one_core_is_left() -> None:
    assert BusyCores().count == max(1, len(os.sched_getaffinity(0)) - 1)


@needs_proc
def test_they_compute_until_they_are_stopped() -> None:
    before = children(os.getpid())
    with BusyCores(2) as others:
        others.start()
        others.start()
        started = [pid for pid in children(os.getpid()) if pid not in before]
        assert len(started) == 2
        wait_until(lambda: all(cpu_ticks(pid) > 2 for pid in started), "both to compute")
        others.stop()
        assert not any(runs(pid) for pid in started)
        others.start()
        again = [pid for pid in children(os.getpid()) if pid not in before]
        assert len(again) == 2
    assert not any(runs(pid) for pid in again)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_they_end_with_their_parent(number: signal.Signals) -> None:
    code = (
        "from vmem_ros.benchmarking.busy import BusyCores\nimport time\n"
        "with BusyCores(1) as others:\n    others.start()\n    print('started', flush=True)\n    time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        (child,) = children(parent.pid)
        assert runs(child)
        parent.send_signal(number)
        parent.wait(timeout=30)
        wait_until(lambda: not runs(child), "the loop to end")
    finally:
        parent.kill()
        parent.communicate()
