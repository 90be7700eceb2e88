"""Messages that belong together: those of several topics whose stamps are nearly equal."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vmem_ros.messages.stamps import stamp_to_ns

# So many of the newest messages of the first topic tell what is wrong at present.
_REMEMBERED = 10


@dataclass(frozen=True)
class Miss:
    """Why a message of the first topic was joined with none.

    :param topic: that has nothing near enough.
    :param lead_ns: stamp of the message.
    :param stamp_ns: of that topic's nearest message; ``None``: it had none.
    """

    topic: str
    lead_ns: int
    stamp_ns: int | None

    @property
    def apart_s(self) -> float:
        """How much later that topic's nearest message is, in seconds."""
        return math.inf if self.stamp_ns is None else (self.stamp_ns - self.lead_ns) / 1e9


@dataclass(frozen=True, eq=False)
class _Entry:
    stamp_ns: int
    arrived_s: float
    message: Any


class Synchroniser:
    """Joins each message of the first topic with the nearest one of every other, and uses no message twice.

    Two messages are joined when neither is nearer to another one, and when none that is nearer can still come: their
    stamps are equal, or the earlier one has a successor, as stamps of a topic rise. Those without a successor are
    joined after ``patience_s``.

    :param topics: names, and how many messages of each may wait; the first leads.
    :param on_set: called with a message for each topic.
    :param slop_s: asked anew for every message; stamps of joined messages differ by so much at most.
    :param clock: for the arrival of messages, in seconds.
    """

    def __init__(
        self,
        topics: Mapping[str, int],
        on_set: Callable[[dict[str, Any]], None],
        *,
        slop_s: Callable[[], float],
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lead, *self._others = topics
        self._on_set = on_set
        self._slop_s = slop_s
        self._patience_s = patience_s
        self._clock = clock
        self._waiting: dict[str, deque[_Entry]] = {topic: deque(maxlen=depth) for topic, depth in topics.items()}
        self._newest: deque[Miss | None] = deque(maxlen=_REMEMBERED)
        #: Messages of the first topic that were joined with none and are gone.
        self.unmatched = 0

    def clear(self) -> None:
        """Forget what waits."""
        for waiting in self._waiting.values():
            waiting.clear()
        self._newest.clear()

    def misses(self) -> list[Miss]:
        """Return why the newest messages of the first topic were joined with none, if more than half of them were."""
        missed = [miss for miss in self._newest if miss is not None]
        return missed if len(missed) > len(self._newest) / 2 else []

    def waits_for(self) -> list[str]:
        """Return the topics that are missing while others have waited for ``patience_s``."""
        first = min((waiting[0].arrived_s for waiting in self._waiting.values() if waiting), default=math.inf)
        if self._clock() - first < self._patience_s:
            return []
        return [topic for topic, waiting in self._waiting.items() if not waiting]

    def add(self, topic: str, message: Any) -> None:
        """Take in one message; sets that it completes go out, oldest first."""
        waiting = self._waiting[topic]
        if topic == self._lead and len(waiting) == waiting.maxlen:
            self._miss(waiting[0])
        waiting.append(_Entry(stamp_to_ns(message.header.stamp), self._clock(), message))
        self.release()

    def release(self) -> None:
        """Let the sets go out that are certain by now; to be called now and then, for the last ones."""
        if not all(self._waiting.values()):
            return
        slop_ns, now = self._slop_s() * 1e9, self._clock()
        for lead in list(self._waiting[self._lead]):
            found = {self._lead: lead}
            for topic in self._others:
                entry = _nearest(self._waiting[topic], lead)
                if entry is None or abs(entry.stamp_ns - lead.stamp_ns) > slop_ns:
                    break
                if not self._belongs(lead, topic, entry, now):
                    break
                found[topic] = entry
            else:
                self._forget_until(found)
                self._newest.append(None)
                self._on_set({topic: entry.message for topic, entry in found.items()})

    def _belongs(self, lead: _Entry, topic: str, entry: _Entry, now: float) -> bool:
        """Return whether ``entry``, the nearest to ``lead``, is certain to be its."""
        leads = self._waiting[self._lead]
        if lead.stamp_ns == entry.stamp_ns:
            return True
        if _nearest(leads, entry) is not lead:
            return False
        earlier, queue = (lead, leads) if lead.stamp_ns < entry.stamp_ns else (entry, self._waiting[topic])
        succeeded = queue[-1].stamp_ns > earlier.stamp_ns
        return succeeded or now - max(lead.arrived_s, entry.arrived_s) >= self._patience_s

    def _forget_until(self, used: Mapping[str, _Entry]) -> None:
        """Forget the messages of a set, and older ones."""
        for lead in self._waiting[self._lead]:
            if lead.stamp_ns < used[self._lead].stamp_ns:
                self._miss(lead, others_are_joined=True)
        for topic, entry in used.items():
            waiting = self._waiting[topic]
            newer = [e for e in waiting if e.stamp_ns > entry.stamp_ns]
            waiting.clear()
            waiting.extend(newer)

    def _miss(self, lead: _Entry, *, others_are_joined: bool = False) -> None:
        """Note why a message of the first topic goes without the others: for the one that is farthest from it.

        :param others_are_joined: what is nearer to others of the first topic says nothing about this one.
        """
        leads = self._waiting[self._lead]
        nearest = {
            topic: _nearest((e for e in waiting if not others_are_joined or _nearest(leads, e) is lead), lead)
            for topic, waiting in self._waiting.items()
            if topic != self._lead
        }
        misses = [Miss(topic, lead.stamp_ns, e.stamp_ns if e else None) for topic, e in nearest.items()]
        worst = max(misses, key=lambda miss: abs(miss.apart_s))
        self.unmatched += 1
        self._newest.append(worst)


def _nearest(waiting: Iterable[_Entry], to: _Entry) -> _Entry | None:
    """Return the message whose stamp is nearest, the first of equals."""
    return min(waiting, key=lambda e: abs(e.stamp_ns - to.stamp_ns), default=None)
