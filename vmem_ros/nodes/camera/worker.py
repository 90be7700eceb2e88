"""One thread that owns the world and every tensor operation.

Work is handed over in four lanes. **Reads** change nothing (previews, renderings) and are served even between two
denoising steps. **Large** reads do so in parts (a rendering of many pixels, in tiles), and reads are served between two
of them. **Commands** change or save the world in no time (an observed view, undo, reset, save, load) and are served
between two chunks of views; reads go before them, but not for long. **Requests** generate, one after the other. Every
lane is first in, first out and bounded. Results come back as ``rclpy`` futures, which the executor's thread may await.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rclpy.task import Future

from vmem_ros.errors import CancelledError, NotReadyError, QueueFullError, VmemError
from vmem_ros.nodes.interface.error_codes import as_vmem_error
from vmem_ros.world import World

Lane = Literal["read", "large", "command", "request"]
WorkerState = Literal["unloaded", "loading", "ready", "failed"]
#: What is done with the world; of large reads, a generator that yields between parts and returns the result.
Work = Callable[[World], Any]


# So long after a command reads still go before it: many renderings do not keep it waiting for ever.
_READS_FIRST_S = 0.1


@dataclass(eq=False)
class _Job:
    work: Work
    future: Future
    submitted: float
    wanted: Callable[[], bool]
    #: Why it is to end before it is done; empty: it is not.
    ended: str = ""


class Worker:
    """Runs work on a world, in its own thread.

    :param max_length: how many jobs may wait in each lane.
    :param wake: called after a future is done, so that an executor notices; :meth:`rclpy.executors.Executor.wake`.
    :param on_change: called, in the worker's thread, when its state or the world may have changed.
    :param on_world: called, in the worker's thread, with a world that was built, and with ``None`` once it is dropped.
    :param on_error: called with exceptions nobody raised on purpose, before they become a ``ModelError``, and with
        what made loading fail.
    """

    def __init__(
        self,
        *,
        max_length: int,
        wake: Callable[[], None],
        on_change: Callable[[], None],
        on_world: Callable[[World | None], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.state: WorkerState = "unloaded"
        #: Why loading failed.
        self.failure: VmemError | None = None
        self._max_length = max_length
        self._wake = wake
        self._on_change = on_change
        self._on_world = on_world
        self._on_error = on_error
        self._world: World | None = None
        self._factory: Callable[[], World] | None = None
        self._lanes: dict[Lane, deque[_Job]] = {lane: deque() for lane in get_args(Lane)}
        self._request: _Job | None = None
        self._large: _Job | None = None
        self._changed = threading.Condition()
        self._paused = False
        self._stopping = False
        self._unload = False
        self._thread = threading.Thread(target=self._run, name="vmem_worker", daemon=True)
        self._thread.start()

    # -- from any thread ---------------------------------------------------------------------------------------------
    def load(self, factory: Callable[[], World]) -> None:
        """Build a world in the worker's thread, after what was unloaded is gone; :attr:`state` tells how it went."""
        with self._changed:
            self.state, self.failure = "loading", None
            self._factory = factory
            self._changed.notify_all()

    def unload(self) -> None:
        """Drop the world and everything that waits for it; what runs ends at its next step."""
        reason = "the camera node was cleaned up"
        with self._changed:
            self._unload, self._factory, self._paused = True, None, False
            self.state, self.failure = "unloaded", None
            dropped = self._end(reason, *self._lanes)
        self._refuse(dropped, reason)

    def end_requests(self, reason: str) -> None:
        """End all requests and large reads with a CancelledError: those that wait at once, running ones at a step."""
        with self._changed:
            dropped = self._end(reason, "request", "large")
        self._refuse(dropped, reason)

    def submit(self, lane: Lane, work: Work, *, wanted: Callable[[], bool] = lambda: True) -> Future:
        """Queue ``work(world)`` and return the future of its result.

        :param wanted: asked between the parts of a large read, in the worker's thread; false ends it.
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
            job = _Job(work, Future(), time.monotonic(), wanted)
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
        """End the thread: what runs is asked to stop, what waits is dropped.

        False: it did not end in time, for it loads a model or is inside a long step. Nothing can end it but the
        process: leave with ``os._exit``, because the interpreter's own end aborts where a thread still computes.
        """
        reason = "the camera node is shutting down"
        with self._changed:
            self._stopping = True
            dropped = self._end(reason, *self._lanes)
        self._refuse(dropped, reason)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def paused(self) -> bool:
        """Whether requests are held."""
        return self._paused

    def waiting(self, lane: Lane) -> int:
        """Return how many jobs wait in a lane."""
        return len(self._lanes[lane])

    def oldest_s(self, lane: Lane) -> float:
        """Return how long the first of a lane has waited, 0 if none waits."""
        with self._changed:
            waiting = self._lanes[lane]
            return time.monotonic() - waiting[0].submitted if waiting else 0.0

    # -- from running requests, in the worker's thread ---------------------------------------------------------------
    def raise_if_ended(self) -> None:
        """Raise CancelledError with the reason for which the running request is to end, if there is one."""
        if self._request is not None and self._request.ended:
            raise CancelledError(self._request.ended)

    def serve_reads(self) -> None:
        """Do the reads that wait, large ones too: to be called between two steps of a request."""
        while (job := self._take("read", "large")) is not None:
            self._do(job)

    def serve_commands(self, should_stop: Callable[[], bool]) -> None:
        """Do reads and commands, and wait while paused: to be called between two chunks of a request."""
        while True:
            while (job := self._take("read", "large", "command")) is not None:
                self._do(job)
            with self._changed:
                self.raise_if_ended()
                if not self._paused or should_stop():
                    return
                self._changed.wait(timeout=0.05)  # should_stop has no other way to be heard

    # -- inside ------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while self._serve():
            pass

    def _serve(self) -> bool:
        """Wait for something to do and do it; false: the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._unload or self._factory or self._runnable())
            if self._stopping:
                self._world = None
                return False
            unload, self._unload = self._unload, False
            factory = None
            if not unload:
                factory, self._factory = self._factory, None
        if unload:
            self._forget()
        elif factory is not None:
            self._load(factory)
        elif job := self._take("read", "large", "command") or (None if self._paused else self._take("request")):
            self._do(job)
        return True

    def _forget(self) -> None:
        """Drop the world, before another one is built."""
        self._world = None
        self._on_world(None)
        gc.collect()  # errors keep what was in use where they were raised, in cycles

    def _runnable(self) -> bool:
        return any(jobs and not (lane == "request" and self._paused) for lane, jobs in self._lanes.items())

    def _load(self, factory: Callable[[], World]) -> None:
        self._on_change()
        try:
            world = factory()
        except BaseException as error:  # a plug-in's SystemExit, too: without this thread nobody gets an answer
            if not self._stopping:
                self._on_error(error)
            self._loaded("failed", as_vmem_error(error))
        else:
            if not self._superseded:
                self._world = world
                self._on_world(world)
            self._loaded("ready", None)
        if not self._stopping:
            self._on_change()

    def _loaded(self, state: WorkerState, failure: VmemError | None) -> None:
        with self._changed:
            if not self._superseded:
                self.state, self.failure = state, failure

    @property
    def _superseded(self) -> bool:
        """Whether nobody wants any more what is being loaded."""
        return self._stopping or self._unload

    def _take(self, *lanes: Lane) -> _Job | None:
        """Return the job whose turn it is in some lanes."""
        with self._changed:
            waiting = [lane for lane in lanes if self._lanes[lane]]
            if not waiting:
                return None
            grace = {"command": _READS_FIRST_S}
            lane = min(waiting, key=lambda lane: self._lanes[lane][0].submitted + grace.get(lane, 0.0))
            job = self._lanes[lane].popleft()
            if lane == "request":
                self._request = job
            elif lane == "large":
                self._large = job
        return job

    def _in_parts(self, job: _Job, parts: Generator[None, None, Any]) -> Any:
        """Return the result of a large read; reads that come meanwhile are done between its parts."""
        with closing(parts):
            while True:
                try:
                    next(parts)
                except StopIteration as done:
                    return done.value
                while (read := self._take("read")) is not None:
                    self._do(read)
                if job.ended or not job.wanted():
                    raise CancelledError(job.ended or "nobody waits for it any more")

    def _do(self, job: _Job) -> None:
        assert self._world is not None, "jobs wait only while there is a world"
        try:
            result = job.work(self._world)
            if isinstance(result, Generator):
                result = self._in_parts(job, result)
        except BaseException as error:  # as above
            named = as_vmem_error(error)
            if named is not error and not self._stopping:
                self._on_error(error)
            # Whoever keeps the error must not keep the world, which is in the frames of its traceback.
            self._finish(job.future, error=named.with_traceback(None))
        else:
            self._finish(job.future, result=result)
        finally:
            if job is self._request:
                self._request = None
            elif job is self._large:
                self._large = None

    def _finish(self, future: Future, *, result: Any = None, error: Exception | None = None) -> None:
        if self._stopping:
            future.cancel()  # nobody is left to hear how it went
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
        self._wake()

    def _end(self, reason: str, *lanes: Lane) -> list[_Job]:
        """Tell what runs to end and return what waited in some lanes; the lock is held."""
        dropped = [job for lane in lanes for job in self._lanes[lane]]
        for lane in lanes:
            self._lanes[lane].clear()
        for running in (self._request, self._large):
            if running is not None:
                running.ended = reason
        self._changed.notify_all()
        return dropped

    def _refuse(self, jobs: list[_Job], reason: str) -> None:
        for job in jobs:
            self._finish(job.future, error=CancelledError(reason))

    def _why_not_ready(self) -> str:
        return {
            "unloaded": "the camera node is not configured: configure and activate it (autostart does so)",
            "loading": "the model is still loading: wait until ~/status says idle",
            "failed": f"the model could not be loaded: {self.failure}",
        }[self.state]
