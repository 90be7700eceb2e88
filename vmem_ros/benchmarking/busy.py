"""Processes that keep the other cores busy, as on a robot's computer, and always end."""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

from vmem_ros.kernels import cores

# It ends with its parent, also where that is killed: by the kernel's signal where there is one, else by asking.
_LOOP = """
import ctypes, os, signal
parent = int(os.environ["VMEM_BUSY_PARENT"])
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
print("busy", flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


class BusyCores:
    """A Python loop on every core but one, while :meth:`start` ed; a context manager that stops them in any case.

    :param count: of processes; ``None``: one for each core of this process but one, at least one.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = max(1, cores() - 1) if count is None else count
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start the loops, and return once all of them run; nothing happens if they do."""
        if self._processes:
            return
        for _ in range(self.count):
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-S", "-c", _LOOP],
                    env={**os.environ, "VMEM_BUSY_PARENT": str(os.getpid())},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        for process in self._processes:
            assert process.stdout is not None, "it is a pipe"
            process.stdout.readline()

    def stop(self) -> None:
        """End the loops; nothing happens if there are none."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.communicate()

    def __enter__(self) -> BusyCores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
