"""How long a planner waits for views that are drawn: as long as the node shows that it goes on."""

from __future__ import annotations

import time

from vmem_ros.msg import Status

from vmem_ros.errors import NotReadyError

_AT_WORK = (Status.STATE_GENERATING, Status.STATE_PAUSED)


class Patience:
    """Watches ~/status: any change of it is a sign of life.

    :param idle_s: how long a node that has nothing to do may leave a request unanswered: it was lost.
    :param silent_s: how long a node that draws, or that somebody has paused, may show no change.
    """

    def __init__(self, *, idle_s: float, silent_s: float) -> None:
        self._idle_s = idle_s
        self._silent_s = silent_s
        self._seen: tuple[object, ...] = ()
        self._status: Status | None = None
        self._sign = time.monotonic()

    def note(self, status: Status) -> None:
        """Take in a status."""
        seen = (status.state, status.queued, status.view, status.step, status.stored_views, status.error_msg)
        if seen != self._seen:
            self._seen, self._sign = seen, time.monotonic()
        self._status = status

    def check(self, since: float, what: str) -> None:
        """Raise NotReadyError if it has lasted too long.

        :param since: ``time.monotonic()`` of the request.
        """
        at_work = self._status is not None and self._status.state in _AT_WORK
        limit = self._silent_s if at_work else self._idle_s
        if time.monotonic() - max(since, self._sign) > limit:
            state = (
                "has not said anything" if self._status is None else f"has changed nothing; its last: {self._status}"
            )
            raise NotReadyError(f"{what} did not answer, and for {limit:g} s ~/status {state}")
