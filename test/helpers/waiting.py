"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Longer than anything takes here, however busy the machine is.
WAIT_S = 60.0
_POLL_S = 0.01


def wait_until(
    condition: Callable[[], T], what: str, *, timeout_s: float = WAIT_S, seen: Callable[[], object] | None = None
) -> T:
    """Return the first true value of a condition.

    :param what: is waited for, in words.
    :param seen: what a failure shows besides, such as a log; the condition's last value by default.
    """
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            last = value if seen is None else seen()
            raise AssertionError(f"waited {timeout_s:g} s for {what}; last seen: {last}")
        time.sleep(_POLL_S)
    return value
