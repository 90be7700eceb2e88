"""Tasks: what a client does on a node, one step whenever something comes, so that it holds up nobody."""

from __future__ import annotations

import asyncio
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.task import Future

from vmem_ros.errors import CancelledError, NotReadyError

Result = TypeVar("Result")
_here = threading.local()

# How often limits are looked at, and whether a server has come.
_TICK_S = 0.1
# How long whoever closes waits for a node that another thread spins.
_CLOSE_S = 2.0


class Task(Future, Generic[Result]):
    """A verb of the client under way; a future of ``rclpy``.

    Poll it (``done()``, ``feedback``), ``await`` it in an asynchronous callback of ``rclpy`` or in ``asyncio``, or give
    it to ``rclpy.spin_until_future_complete``. It goes on whenever its node is spun.
    """

    def __init__(self, name: str, coroutine: Coroutine[Any, Any, Result], runner: TaskRunner) -> None:
        super().__init__()
        #: Of the verb.
        self.name = name
        #: The newest progress, of a verb that tells any.
        self.feedback: Any = None
        self.runner = runner
        self._coroutine = coroutine
        self._order: CancelledError | None = None
        self._was_cancelled = False
        self._stepping = threading.Lock()

    def result(self) -> Result:
        """Return what the verb returns, or raise its error.

        :raises NotReadyError: it is not done.
        """
        if not self.done():
            raise NotReadyError(f"{self.name} is not done: await the task, or look at done() first")
        return super().result()

    def cancel(self, reason: str = "was cancelled by its caller") -> None:
        """End it, from any thread, when its node is spun next: its result is CancelledError from then on.

        The camera node is told to draw no more of it, which takes effect between two steps of the generator.
        """
        self._order = CancelledError(f"{self.name} {reason}")
        self.runner.wake()

    def cancelled(self) -> bool:
        """Whether somebody cancelled it, here or at the camera node."""
        return self._was_cancelled

    def step(self, *, waits: bool = False) -> None:
        """Go on to where it waits next, unless another thread is at it: then it is looked at again in the next turn.

        :param waits: for that thread.
        """
        if not self._stepping.acquire(blocking=waits):
            self.runner.wake()
            return
        try:
            if not self.done():
                self._step()
        finally:
            self._stepping.release()

    def _step(self) -> None:
        outer, _here.task = current_task(), self
        try:
            order, self._order = self._order, None
            if order is None:
                self._coroutine.send(None)
            else:
                self._coroutine.throw(order)
        except StopIteration as end:
            self.set_result(end.value)
        except Exception as error:
            self._was_cancelled = isinstance(error, CancelledError)
            self.set_exception(error)
            if self._was_cancelled:
                self.exception()  # or rclpy complains about an error that nobody has looked at
        except BaseException:
            self.set_exception(CancelledError(f"{self.name} was interrupted"))
            raise
        finally:
            _here.task = outer

    def __await__(self) -> Generator[Any, None, Result]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return (yield from super().__await__())
        done = loop.create_future()

        def tell() -> None:
            if not done.done():
                done.set_result(None)

        def on_done(_: Future) -> None:
            with suppress(RuntimeError):  # a loop that is closed
                loop.call_soon_threadsafe(tell)

        self.add_done_callback(on_done)
        try:
            yield from done
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.result()


def current_task() -> Task[Any] | None:
    """Return the task that the caller is called by."""
    return getattr(_here, "task", None)


async def until(ready: Callable[[], object], check: Callable[[], None]) -> None:
    """Wait in a task until something is so.

    :param check: raises what ends the wait.
    """
    while not ready():
        check()
        await next_turn()


@types.coroutine
def next_turn() -> Generator[None, None, None]:
    """Wait for the next step."""
    yield


class TaskRunner:
    """Runs tasks on a node: a step of each in every turn, and a turn when something came and on a steady tick.

    An answer steps the task that waits for it at once.

    :param group: mutually exclusive, of whatever the tasks wait for, so that nothing comes within a step.
    """

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._tasks: list[Task[Any]] = []
        self._release: Callable[[], None] | None = None
        self._finishing = False
        self._released = threading.Event()
        #: ``time.monotonic()`` of the last turn: a node that is not spun has none.
        self.turned_s = time.monotonic()
        self._guard = node.create_guard_condition(self.turn, group)
        self._timer = node.create_timer(_TICK_S, self.turn, group, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()  # nothing to do yet

    def start(self, name: str, coroutine: Coroutine[Any, Any, Result]) -> Task[Result]:
        """Run a coroutine: its first step at once, the others in turns.

        :raises NotReadyError: closed.
        """
        task: Task[Result] = Task(name, coroutine, self)
        with self._lock:
            if self._release is not None:
                coroutine.close()
                raise NotReadyError(f"{name}: this CameraClient is closed")
            self._tasks.append(task)
            self._timer.reset()
        task.step()
        self.wake()
        return task

    def wake(self) -> None:
        """Ask for a turn, from any thread."""
        with suppress(InvalidHandle):  # closed
            self._guard.trigger()

    def turn(self) -> None:
        """Let each task take a step; in a callback of the group."""
        if self._release is not None:
            self._finish()
            return
        self.turned_s = time.monotonic()
        with self._lock:
            tasks = list(self._tasks)
        for task in tasks:
            task.step()
        with self._lock:
            self._tasks = [task for task in self._tasks if not task.done()]
            if not self._tasks:
                self._timer.cancel()

    @property
    def is_stepping_here(self) -> bool:
        """Whether the caller is called by one of the tasks."""
        task = current_task()
        return task is not None and task.runner is self

    def close(self, release: Callable[[], None], *, waits: bool) -> None:
        """End all tasks with CancelledError, then call ``release()``; a second call does nothing. Not in a task.

        :param waits: another thread may spin the node: leave it to that one.
        """
        with self._lock:
            if self._release is not None:
                return
            self._release = release
        self.wake()
        if not (waits and self._released.wait(_CLOSE_S)):
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self._finishing or self._release is None:
                return
            self._finishing = True
        for task in self._tasks:
            task.cancel("ended with its CameraClient")
            task.step(waits=True)
        self._node.destroy_timer(self._timer)
        self._node.destroy_guard_condition(self._guard)
        self._release()
        self._released.set()
