"""Ctrl-C and SIGTERM while a program is still being imported: its end, and no traceback."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_quietly(status: int = 0) -> Iterator[None]:
    """End the process at once on SIGINT and SIGTERM, for as long as the block runs and has nothing to clean up.

    For the imports of a program, which take seconds. To be used in the main thread, before anything large is imported.

    :param status: the exit status; 0 for nodes: to be stopped is how they end, and launch reports all else as a crash.
    """
    before = {number: signal.signal(number, lambda *_: os._exit(status)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
