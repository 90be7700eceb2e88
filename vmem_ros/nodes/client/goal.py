"""One goal of an action, in a task: sent, followed and, whatever ends the task early, cancelled."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.task import Future

from vmem_ros.errors import ErrorCode, NotReadyError
from vmem_ros.geometry import Camera
from vmem_ros.nodes.client.answers import Feedback
from vmem_ros.nodes.client.connection import Connection
from vmem_ros.nodes.client.tasks import current_task, next_turn, until
from vmem_ros.nodes.interface.error_codes import error_of
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header


async def result_of_drawing(
    connection: Connection,
    name: str,
    goal: Any,
    camera: Camera | None,
    on_feedback: Callable[[Feedback], None] | None,
) -> Any:
    """Return the result message of a goal that draws; arguments and errors as of :func:`result_of_goal`.

    :param camera: intrinsics of the views; ``None``: the node's.
    :param on_feedback: called with the progress, which the task has too.
    """
    task = current_task()
    assert task is not None
    if camera is not None:
        goal.camera_info = camera_to_message(camera, header("", 0))

    def report(event: Any) -> None:
        task.feedback = Feedback(event.view, event.views, event.step, event.steps, event.eta_s)
        if on_feedback is not None:
            on_feedback(task.feedback)

    return await result_of_goal(connection, name, goal, report)


async def result_of_goal(connection: Connection, name: str, goal: Any, on_feedback: Callable[[Any], None]) -> Any:
    """Return the result message of a goal.

    :param name: of the action, a name of :data:`~vmem_ros.nodes.interface.names.ACTIONS`.
    :param on_feedback: called with each feedback message in steps of the task; if it raises, the goal is cancelled.
    :raises NotReadyError: the goal was rejected, the server has gone, or it shows no sign of going on.
    :raises VmemError: the error whose code is in the result.
    """
    client, runner = connection.actions[name], connection.runner
    await next_turn()
    await connection.until_server(client.server_is_ready, name)
    began = time.monotonic()
    feedback: deque[Any] = deque()

    def receive(message: Any) -> None:
        feedback.append(message.feedback)
        runner.wake()

    def check() -> None:
        while feedback:
            on_feedback(feedback.popleft())
        if not client.server_is_ready():
            raise NotReadyError("the camera node went away during the request")
        connection.patience.check(began, f"~/{name}")

    sent = client.send_goal_async(goal, feedback_callback=receive)
    sent.add_done_callback(lambda _: runner.wake())
    try:
        await until(sent.done, check)
        handle = sent.result()
        if not handle.accepted:
            raise NotReadyError("the camera node rejected the request: look at its log")
        ended = handle.get_result_async()
        ended.add_done_callback(lambda _: runner.wake())
        await until(ended.done, check)
        while feedback:
            on_feedback(feedback.popleft())
    except BaseException:
        _cancel_when_accepted(sent)
        raise
    result = ended.result().result
    if result.error_code != ErrorCode.NONE:
        raise error_of(result.error_code, result.error_msg)
    return result


def _cancel_when_accepted(sent: Future) -> None:
    if not sent.done():
        sent.add_done_callback(_cancel_when_accepted)
    elif sent.result().accepted:
        with suppress(InvalidHandle):  # the client was closed
            sent.result().cancel_goal_async()
