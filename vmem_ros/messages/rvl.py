"""RVL, a lossless code for depth images that some drivers use in place of PNG because it is fast.

A. Wilson, Fast Lossless Depth Image Compression, 2017. Pixels are taken in rows. Runs of zeros and of other values take
turns, and each pair of runs begins with their two lengths. Within a run of other values stands the difference of each
to the one before, in the order 0, -1, 1, -2 ... Every number is written three bits at a time, the lowest first, in half
bytes whose highest bit says that more follow; eight of them fill a little-endian word of 32 bits from its top.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError


def decode_rvl(data: NDArray[np.uint8], count: int) -> NDArray[np.uint16]:
    """Return [count] values.

    :param data: whole words.
    :raises InvalidImageError: it ends too early, or holds more or other values than an image can.
    """
    numbers = _numbers(data)
    out = np.zeros(count, np.uint16)
    at, filled, before = 0, 0, 0
    while filled < count:
        if at + 2 > len(numbers):
            raise InvalidImageError(f"depth in RVL ends after {filled} of {count} pixels: truncated?")
        zeros, others = int(numbers[at]), int(numbers[at + 1])
        at, filled = at + 2, filled + zeros
        codes = numbers[at : at + others]
        if len(codes) < others or filled + others > count:
            raise InvalidImageError(f"depth in RVL has runs that do not fit {count} pixels: damaged or truncated")
        values = before + np.cumsum((codes >> 1) ^ -(codes & 1))
        if others:
            out[filled : filled + others] = values.astype(np.uint16)
            before = int(values[-1])
        at, filled = at + others, filled + others
    return out


def _numbers(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return all numbers of a code: lengths of runs and differences alike."""
    words = np.frombuffer(data.tobytes()[: len(data) // 4 * 4], "<u4")
    halves = (words[:, None] >> np.arange(28, -4, -4, dtype=np.uint32)) & 15
    halves = halves.reshape(-1).astype(np.int64)
    # A number begins behind a half byte whose highest bit is not set.
    starts = np.flatnonzero(np.concatenate([[True], halves[:-1] < 8])) if len(halves) else np.empty(0, np.int64)
    place = np.arange(len(halves)) - np.repeat(starts, np.diff(np.append(starts, len(halves))))
    parts = (halves & 7) << np.minimum(3 * place, 60)
    return np.add.reduceat(parts, starts) if len(starts) else parts
