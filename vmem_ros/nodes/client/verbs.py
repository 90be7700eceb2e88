"""Verbs in two forms: one starts a task, the other waits for it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from vmem_ros.errors import DeadlockError, NotReadyError
from vmem_ros.nodes.client.connection import Connection
from vmem_ros.nodes.client.executors import has_executor, is_spun_here
from vmem_ros.nodes.client.tasks import Task

P = ParamSpec("P")
Result = TypeVar("Result")
_Self = TypeVar("_Self", bound="Verbs")

_POLL_S = 1.0
# How long nobody may spin a node: one without an executor, which a thread that has just begun to spin it sets a little
# later; and one with an executor, which a callback may keep busy.
_NO_EXECUTOR_S, _STUCK_S = 10.0, 60.0


class Verbs:
    """Has verbs, which act through a connection."""

    _connection: Connection


def awaitable(
    verb: Callable[Concatenate[_Self, P], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[_Self, P], Task[Result]]:
    """Return the form of a verb that starts it and returns its task at once."""
    name = verb.__name__.removesuffix("_async")

    @wraps(verb)
    def start(self: _Self, /, *args: P.args, **kwargs: P.kwargs) -> Task[Result]:
        return self._connection.runner.start(name, verb(self, *args, **kwargs))

    return start


def blocking(start: Callable[Concatenate[_Self, P], Task[Result]]) -> Callable[Concatenate[_Self, P], Result]:
    """Return the form of a verb that waits until its task is done.

    What is given as ``on_feedback`` is called in the thread that waits; whatever interrupts that cancels the task.
    """
    name = start.__name__.removesuffix("_async")

    @wraps(start)
    def wait(self: _Self, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        _refuse_to_block(self._connection, name)
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        on_feedback: Any = kwargs.get("on_feedback")
        if on_feedback is not None:
            kwargs["on_feedback"] = events.put
        task = start(self, *args, **kwargs)
        task.add_done_callback(events.put)
        try:
            while (event := _next(events, self._connection, name)) is not task:
                on_feedback(event)
        except BaseException:
            task.cancel()
            raise
        return task.result()

    wait.__name__ = name
    wait.__qualname__ = start.__qualname__.removesuffix("_async")
    return wait


def _refuse_to_block(connection: Connection, name: str) -> None:
    """Raise where waiting could never end.

    :raises DeadlockError: in a callback of the executor that spins the node alone, or of a task.
    """
    if connection.runner.is_stepping_here or is_spun_here(connection.node.executor):
        raise DeadlockError(
            f"{name} would wait for the thread that calls it: in a callback, `await camera.{name}_async(...)`, or call "
            f"{name} from another thread"
        )


def _next(events: queue.SimpleQueue[Any], connection: Connection, name: str) -> Any:
    """Return the next progress, or the task when it is done.

    :raises NotReadyError: nobody spins the node.
    """
    node, began = connection.node, time.monotonic()
    while True:
        try:
            return events.get(timeout=_POLL_S)
        except queue.Empty:
            limit = _STUCK_S if has_executor(node) else _NO_EXECUTOR_S
            if time.monotonic() - max(began, connection.runner.turned_s) > limit:
                raise NotReadyError(
                    f"{name}: nobody has spun the node {node.get_fully_qualified_name()} for {limit:g} s. Spin it in "
                    f"another thread, or give the task of {name}_async to rclpy.spin_until_future_complete"
                ) from None
