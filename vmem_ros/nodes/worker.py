"""One thread that owns the world and every tensor operation.

Work is handed over in three lanes. **Reads** change nothing (previews, renderings) and are served even between two
denoising steps. **Commands** change or save the world in no time (an observed view, undo, reset, save, load) and are
served between two chunks of views. **Requests** generate, one after the other. Every lane is first in, first out and
bounded. Results come back as ``rclpy`` futures, which the executor's thread may await.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rclpy.task import Future

from vmem_ros.errors import CancelledError, NotReadyError, QueueFullError, VmemError
from vmem_ros.nodes.results import as_vmem_error
from vmem_ros.world import World

Lane = Literal["read", "command", "request"]
WorkerState = Literal["unloaded", "loading", "ready", "failed"]
Work = Callable[[World], Any]


@dataclass(frozen=True)
class _Job:
    work: Work
    future: Future
    submitted: float


class Worker:
    """Runs work on a world, in its own thread.

    :param max_length: how many jobs may wait in each lane.
    :param wake: called after a future is done, so that an executor notices; :meth:`rclpy.executors.Executor.wake`.
    :param on_change: called, in the worker's thread, when its state or the world may have changed.
    :param on_error: called with exceptions nobody raised on purpose, before they become a ``ModelError``, and with
        what made loading fail.
    """

    def __init__(
        self,
        *,
        max_length: int,
        wake: Callable[[], None],
        on_change: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.state: WorkerState = "unloaded"
        #: Why loading failed.
        self.failure: VmemError | None = None
        self._max_length = max_length
        self._wake = wake
        self._on_change = on_change
        self._on_error = on_error
        self._world: World | None = None
        self._factory: Callable[[], World] | None = None
        self._lanes: dict[Lane, deque[_Job]] = {"read": deque(), "command": deque(), "request": deque()}
        self._changed = threading.Condition()
        self._paused = False
        self._stopping = False
        self._unload = False
        self._thread = threading.Thread(target=self._run, name="vmem_worker", daemon=True)
        self._thread.start()

    # -- from any thread ---------------------------------------------------------------------------------------------
    def load(self, factory: Callable[[], World]) -> None:
        """Build a world in the worker's thread; :attr:`state` tells how it went."""
        with self._changed:
            self.state, self.failure = "loading", None
            self._factory, self._unload = factory, False
            self._changed.notify_all()

    def unload(self) -> None:
        """Drop the world and everything that waits for it; what runs ends at its next step."""
        with self._changed:
            self._unload, self._factory = True, None
            self.state, self.failure = "unloaded", None
            self._changed.notify_all()
        self._drop_waiting(CancelledError("the camera node was cleaned up"))

    def submit(self, lane: Lane, work: Work) -> Future:
        """Queue ``work(world)`` and return the future of its result.

        :raises NotReadyError: there is no world yet.
        :raises QueueFullError: the lane is full.
        """
        with self._changed:
            if self.state != "ready":
                raise NotReadyError(self._why_not_ready())
            waiting = self._lanes[lane]
            if len(waiting) >= self._max_length:
                raise QueueFullError(
                    f"{len(waiting)} {lane}s wait, the most that queue.max_length allows: send fewer at a time"
                )
            job = _Job(work, Future(), time.monotonic())
            waiting.append(job)
            self._changed.notify_all()
        return job.future

    def cancel(self, future: Future) -> bool:
        """Drop a job that still waits: its future raises CancelledError. False: it runs or is done."""
        with self._changed:
            for waiting in self._lanes.values():
                for job in waiting:
                    if job.future is future:
                        waiting.remove(job)
                        break
                else:
                    continue
                break
            else:
                return False
        self._finish(future, error=CancelledError("cancelled before it began"))
        return True

    def pause(self, paused: bool) -> None:
        """Hold requests, a running one between two chunks; reads and commands go on."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()
        self._on_change()

    def stop(self, *, timeout_s: float) -> bool:
        """End the thread: what runs is asked to stop, what waits is dropped. False: it did not end in time."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._drop_waiting(CancelledError("the camera node is shutting down"))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def paused(self) -> bool:
        """Whether requests are held."""
        return self._paused

    @property
    def stopping(self) -> bool:
        """Whether running work should end at its next step."""
        return self._stopping or self._unload

    def waiting(self, lane: Lane) -> int:
        """Return how many jobs wait in a lane."""
        return len(self._lanes[lane])

    def oldest_s(self, lane: Lane) -> float:
        """Return how long the first of a lane has waited, 0 if none waits."""
        with self._changed:
            waiting = self._lanes[lane]
            return time.monotonic() - waiting[0].submitted if waiting else 0.0

    # -- from running requests, in the worker's thread ---------------------------------------------------------------
    def serve_reads(self) -> None:
        """Do the reads that wait: to be called between two steps of a request."""
        while (job := self._take("read")) is not None:
            self._do(job)

    def serve_commands(self, should_stop: Callable[[], bool]) -> None:
        """Do reads and commands, and wait while paused: to be called between two chunks of a request."""
        while True:
            while (job := self._take("read", "command")) is not None:
                self._do(job)
            with self._changed:
                if not self._paused or self.stopping or should_stop():
                    return
                self._changed.wait(timeout=0.05)  # should_stop has no other way to be heard

    # -- inside ------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._unload or self._factory or self._runnable())
                if self._stopping:
                    self._world = None
                    return
                if self._unload:
                    self._world, self._unload = None, False
                    continue
                factory, self._factory = self._factory, None
            if factory is not None:
                self._load(factory)
            elif (job := self._take("read", "command", *(() if self._paused else ("request",)))) is not None:
                self._do(job)

    def _runnable(self) -> bool:
        return any(jobs and not (lane == "request" and self._paused) for lane, jobs in self._lanes.items())

    def _load(self, factory: Callable[[], World]) -> None:
        self._on_change()
        try:
            world = factory()
        except Exception as error:
            self._on_error(error)
            with self._changed:
                self.state, self.failure = "failed", as_vmem_error(error)
        else:
            with self._changed:
                if not self.stopping:
                    self._world, self.state = world, "ready"
        self._on_change()

    def _take(self, *lanes: Lane) -> _Job | None:
        with self._changed:
            return next((self._lanes[lane].popleft() for lane in lanes if self._lanes[lane]), None)

    def _do(self, job: _Job) -> None:
        world = self._world
        if world is None:
            self._finish(job.future, error=NotReadyError(self._why_not_ready()))
            return
        try:
            result = job.work(world)
        except Exception as error:
            named = as_vmem_error(error)
            if named is not error:
                self._on_error(error)
            self._finish(job.future, error=named)
        else:
            self._finish(job.future, result=result)

    def _finish(self, future: Future, *, result: Any = None, error: Exception | None = None) -> None:
        if self._stopping:
            future.cancel()  # nobody is left to hear how it went
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        self._wake()

    def _drop_waiting(self, error: Exception) -> None:
        with self._changed:
            dropped = [job for waiting in self._lanes.values() for job in waiting]
            for waiting in self._lanes.values():
                waiting.clear()
        for job in dropped:
            self._finish(job.future, error=error)

    def _why_not_ready(self) -> str:
        return {
            "unloaded": "the camera node is not configured: configure and activate it (autostart does so)",
            "loading": "the model is still loading: wait until ~/status says idle",
            "failed": f"the model could not be loaded: {self.failure}",
            "ready": "the world was unloaded",
        }[self.state]
