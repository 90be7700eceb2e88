"""One thread that owns a world and all work on it, for programs without ROS."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from vmem_ros.errors import CancelledError, QueueFullError
from vmem_ros.world import World

Work = Callable[[World], Any]


class _Job(NamedTuple):
    work: Work
    future: Future[Any]


class WorldThread:
    """Runs reads, which change nothing, and changes, each in order; reads go first, also between steps of a change.

    :param world: nobody else touches it from now on.
    :param max_length: how many reads and how many changes may wait.
    """

    def __init__(self, world: World, *, max_length: int = 16) -> None:
        self._world = world
        self._max_length = max_length
        self._reads: deque[_Job] = deque()
        self._changes: deque[_Job] = deque()
        self._changed = threading.Condition()
        #: Whether what runs is to end.
        self.closing = False
        self._thread = threading.Thread(target=self._run, name="vmem_world", daemon=True)
        self._thread.start()

    def read(self, work: Work) -> Future[Any]:
        """Queue ``work(world)``, which changes nothing.

        :raises QueueFullError: too many wait.
        """
        return self._submit(self._reads, work, "reads")

    def change(self, work: Work) -> Future[Any]:
        """Queue ``work(world)``; if it takes long, it calls :meth:`serve_reads` between its steps.

        :raises QueueFullError: too many wait.
        """
        return self._submit(self._changes, work, "changes")

    def serve_reads(self) -> None:
        """Do the reads that wait; in this thread, between two steps of a change."""
        while (job := self._take(self._reads)) is not None:
            self._do(job)

    def close(self, *, timeout_s: float) -> bool:
        """Drop what waits, and end after what runs; false: it has not ended in time."""
        with self._changed:
            self.closing = True
            dropped = [*self._reads, *self._changes]
            self._reads.clear()
            self._changes.clear()
            self._changed.notify_all()
        for job in dropped:
            job.future.set_exception(CancelledError("the viewer was closed"))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _submit(self, waiting: deque[_Job], work: Work, what: str) -> Future[Any]:
        with self._changed:
            if self.closing:
                raise CancelledError("the viewer was closed")
            if len(waiting) >= self._max_length:
                raise QueueFullError(f"{len(waiting)} {what} wait already: wait until they are done, or cancel them")
            job = _Job(work, Future())
            waiting.append(job)
            self._changed.notify_all()
        return job.future

    def _take(self, *lanes: deque[_Job]) -> _Job | None:
        with self._changed:
            return next((waiting.popleft() for waiting in lanes if waiting), None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.closing or self._reads or self._changes)
                if self.closing:
                    return
            job = self._take(self._reads, self._changes)
            if job is not None:
                self._do(job)

    def _do(self, job: _Job) -> None:
        try:
            result = job.work(self._world)
        except Exception as error:
            # Whoever keeps the error must not keep the world, which is in the frames of its traceback.
            job.future.set_exception(error.with_traceback(None))
        else:
            job.future.set_result(result)
