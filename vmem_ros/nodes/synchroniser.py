"""Messages that belong together: those of several topics whose stamps are nearly equal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from vmem_ros.nodes.conversions import stamp_to_ns


class Synchroniser:
    """Joins messages of several topics with the first one's.

    :param topics: names; the first leads, and the others are joined when their stamps differ from its by ``slop_s``
        at most.
    :param slop_s: asked anew for every message.
    :param on_set: called with a message for each topic.
    """

    def __init__(
        self,
        topics: Sequence[str],
        on_set: Callable[[dict[str, Any]], None],
        *,
        slop_s: Callable[[], float],
        depth: int = 10,
    ) -> None:
        self._lead, *self._others = topics
        self._on_set = on_set
        self._slop_s = slop_s
        self._waiting: dict[str, deque[Any]] = {topic: deque(maxlen=depth) for topic in topics}

    def clear(self) -> None:
        """Forget what waits."""
        for waiting in self._waiting.values():
            waiting.clear()

    def waits_for(self) -> list[str]:
        """Return the topics that are missing while others wait."""
        if not any(self._waiting.values()):
            return []
        return [topic for topic, waiting in self._waiting.items() if not waiting]

    def add(self, topic: str, message: Any) -> None:
        """Take in one message; sets that it completes go out, oldest first."""
        self._waiting[topic].append(message)
        for lead in list(self._waiting[self._lead]):
            found = {t: self._nearest(t, stamp_to_ns(lead.header.stamp)) for t in self._others}
            if all(m is not None for m in found.values()):
                self._forget_until(stamp_to_ns(lead.header.stamp))
                self._on_set({self._lead: lead, **found})

    def _nearest(self, topic: str, stamp_ns: int) -> Any:
        def distance(message: Any) -> int:
            return abs(stamp_to_ns(message.header.stamp) - stamp_ns)

        best = min(self._waiting[topic], key=distance, default=None)
        return best if best is not None and distance(best) <= self._slop_s() * 1e9 else None

    def _forget_until(self, stamp_ns: int) -> None:
        for waiting in self._waiting.values():
            while waiting and stamp_to_ns(waiting[0].header.stamp) <= stamp_ns:
                waiting.popleft()
