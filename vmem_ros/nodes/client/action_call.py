"""One goal of an action, sent by the executor's thread and awaited by another."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.action import ActionClient
from rclpy.executors import Executor

from vmem_ros.errors import NotReadyError

_POLL_S = 1.0


@dataclass(frozen=True)
class _Result:
    message: Any


class ActionCall:
    """Sends a goal and hands its feedback and result to the thread that waits for them.

    The executor's thread sends it, because ``rclpy`` loses a response that comes before ``send_goal_async`` has
    returned in another thread.
    """

    def __init__(self, client: ActionClient, executor: Executor, goal: Any) -> None:
        self._client = client
        self._executor = executor
        self._events: queue.Queue[Any] = queue.Queue()
        self._handle: Any = None
        self._cancelled = False
        self._run(self._drive, goal)

    def wait(self, on_feedback: Callable[[Any], None]) -> Any:
        """Return the result message; feedback messages go to ``on_feedback`` in the calling thread.

        Whatever interrupts it, an error in ``on_feedback`` included, cancels the goal.

        :raises NotReadyError: the goal was rejected, or the server has gone.
        """
        try:
            while True:
                event = self._next()
                if isinstance(event, _Result):
                    return event.message
                if isinstance(event, Exception):
                    raise event
                on_feedback(event)
        except BaseException:
            self._cancelled = True
            self._run(self._cancel)
            raise

    def _next(self) -> Any:
        while True:
            try:
                return self._events.get(timeout=_POLL_S)
            except queue.Empty:
                if not self._client.server_is_ready():
                    raise NotReadyError("the camera node went away during the request") from None

    def _run(self, call: Callable[..., Any], *args: Any) -> None:
        self._executor.create_task(call, *args)
        self._executor.wake()

    # -- in the executor's thread ------------------------------------------------------------------------------------
    async def _drive(self, goal: Any) -> None:
        try:
            self._handle = await self._client.send_goal_async(
                goal, feedback_callback=lambda message: self._events.put(message.feedback)
            )
            if not self._handle.accepted:
                raise NotReadyError("the camera node rejected the request: look at its log")
            if self._cancelled:
                self._cancel()
            self._events.put(_Result((await self._handle.get_result_async()).result))
        except Exception as error:
            self._events.put(error)

    def _cancel(self) -> None:
        if self._handle is not None and self._handle.accepted:
            self._handle.cancel_goal_async()
