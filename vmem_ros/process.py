"""Two settings of the C libraries that decide how fast small tensor operations are on a CPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import MutableMapping

# M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of mallopt(3), in bytes.
_MALLOC_OPTIONS = {-3: 1 << 30, -1: 1 << 30, -2: 64 << 20}


def set_thread_waiting(environment: MutableMapping[str, str]) -> None:
    """Set how long torch's threads (GNU OpenMP) wait for each other in a loop before they sleep.

    By default they loop for milliseconds, which starves other processes on the same cores. If they never do, every
    operation pays for waking them. The variable is read when torch is imported; a value of the user's own wins: ten
    times as much is faster on a machine where nothing else computes, and much slower where something does.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "1000")


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, which the next picture needs again; other C libraries are left alone.

    By default the temporaries of every projection go back to the system and come again as thousands of page faults.
    Variables ``MALLOC_*`` of the user's own win.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)
