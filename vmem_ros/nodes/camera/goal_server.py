"""What the actions of the camera node have in common: every goal is accepted, queued, and can be cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future

from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.error_codes import refuse
from vmem_ros.nodes.interface.names import ACTIONS, service_qos

#: Serves a goal: fills the result, and awaits the future of what it has queued through the function that it gets.
Serve = Callable[[ServerGoalHandle, Any, Callable[[Future], Awaitable[Any]]], Awaitable[None]]


class GoalServer:
    """Accepts every goal of an action; one that cannot be served ends aborted with an error code that says why.

    :param name: in the interface table.
    :param action_type: the action as it is received.
    """

    def __init__(self, core: Core, name: str, action_type: Any, serve: Serve) -> None:
        self._core = core
        self._action = ACTIONS[name]
        self._serve = serve
        self._futures: dict[bytes, Future] = {}
        p = core.parameters
        qos = service_qos(p["queue.max_length"], p["queue.burst"])
        self._server = ActionServer(
            core.node,
            action_type,
            self._action.path,
            self._execute,
            callback_group=core.group,
            cancel_callback=self._on_cancel,
            goal_service_qos_profile=qos,
            result_service_qos_profile=qos,
            cancel_service_qos_profile=qos,
            result_timeout=p["generate.result_timeout_s"],
        )

    def destroy(self) -> None:
        """Destroy the server, which the node does not own."""
        self._server.destroy()

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        future = self._futures.get(bytes(handle.goal_id.uuid))
        if future is not None and self._core.worker.cancel(future):
            self._core.state_changed()
        return CancelResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> Any:
        result, key = self._action.type.Result(), bytes(handle.goal_id.uuid)

        async def until_done(queued: Future) -> Any:
            self._futures[key] = queued
            return await queued

        try:
            await self._serve(handle, result, until_done)
            handle.succeed()
        except Exception as error:
            refuse(result, self._core.report(self._action.path, error))
            if handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        finally:
            self._futures.pop(key, None)
        return result
