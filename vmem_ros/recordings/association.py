"""Which readings of several sensors belong together: those whose times are nearest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def partners(stamps_ns: Sequence[int], others_ns: Sequence[int], *, tolerance_s: float) -> NDArray[np.int64]:
    """Return for each stamp the number of the other one that belongs to it, -1 if there is none.

    Two belong together when neither is nearer to another one and they differ by at most ``tolerance_s``: a constant
    offset of the clocks below half a period is harmless, and nothing is used twice.

    :param stamps_ns: rising.
    :param others_ns: rising.
    """
    a, b = np.asarray(stamps_ns, np.int64), np.asarray(others_ns, np.int64)
    if not len(a) or not len(b):
        return np.full(len(a), -1)
    to_b, to_a = _nearest(a, b), _nearest(b, a)
    close = np.abs(b[to_b] - a) <= tolerance_s * 1e9
    return np.where(close & (to_a[to_b] == np.arange(len(a))), to_b, -1)


def _nearest(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each of ``a`` the number of the nearest of ``b``, the earlier of equals."""
    after = np.searchsorted(b, a).clip(max=len(b) - 1)
    before = (after - 1).clip(min=0)
    return np.where(np.abs(b[before] - a) <= np.abs(b[after] - a), before, after)
