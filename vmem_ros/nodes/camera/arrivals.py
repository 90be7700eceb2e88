"""How many messages of a topic do not arrive, told by the stamps of those that do."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

_KEPT = 100
# Fewer messages say nothing yet.
_ENOUGH = 6
# Gaps that differ by less are those of a driver that keeps its pace, and nothing was lost between them.
_STEADY, _STEADY_SHARE = 0.3, 0.9
# A single gap that is so long is a break of another kind: somebody has restarted something.
_BREAK_NS = 2e9


class Arrivals:
    """The newest stamps of a topic, in nanoseconds."""

    def __init__(self) -> None:
        self._stamps: deque[int] = deque(maxlen=_KEPT)

    def add(self, stamp_ns: int) -> None:
        """Note a message, unless it has no time; time that jumps back begins anew."""
        if not stamp_ns:
            return
        if self._stamps and stamp_ns < self._stamps[-1]:
            self._stamps.clear()
        self._stamps.append(stamp_ns)

    def clear(self) -> None:
        """Forget all of them."""
        self._stamps.clear()

    @property
    def since_ns(self) -> int:
        """From when on all messages that came are kept; 0: always."""
        return self._stamps[0] if len(self._stamps) == _KEPT else 0

    @property
    def stamps(self) -> np.ndarray:
        """[n] int64, rising."""
        return np.array(self._stamps, np.int64)


def lost_shares(topics: Mapping[str, Arrivals]) -> dict[str, float]:
    """Return the share of the newest messages of each topic that was published and did not arrive, 0 to 1.

    What is missing at a time of which another topic's message has come is lost, if the topic comes at no steady pace: a
    driver whose depth is half as frequent as its colour loses nothing, nor does one that pauses.
    """
    since = max((arrivals.since_ns for arrivals in topics.values()), default=0)
    stamps = {name: s[s >= since] for name, arrivals in topics.items() if len(s := arrivals.stamps)}
    gaps = {name: np.diff(s) for name, s in stamps.items() if len(s) >= _ENOUGH and s[-1] > s[0]}
    paces = [float(np.median(g)) for g in gaps.values() if _is_steady(g)]
    out = dict.fromkeys(topics, 0.0)
    for name, gap in gaps.items():
        if _is_steady(gap):
            continue
        own = float(np.percentile(gap, 25))  # the least jitters most
        pace = max(min([own, *paces]), 1.0)
        missing = np.maximum(np.round(gap / pace) - 1, 0)
        others = np.unique(np.concatenate([s for other, s in stamps.items() if other != name]))
        first = np.searchsorted(others, stamps[name][:-1] + pace / 2)
        last = np.searchsorted(others, stamps[name][1:] - pace / 2)
        lost = np.minimum(missing, np.maximum(last - first, 0))
        if (gap > _BREAK_NS).sum() == 1:
            lost[gap > _BREAK_NS] = 0
        out[name] = float(lost.sum() / (lost.sum() + len(gap)))
    return out


def _is_steady(gaps: np.ndarray) -> bool:
    middle = np.median(gaps)
    return bool((np.abs(gaps - middle) <= _STEADY * middle).mean() >= _STEADY_SHARE)
