"""The action ~/generate: poses in, progress as feedback, images on the camera topics."""

from __future__ import annotations

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from vmem_ros.action import GenerateViews

from vmem_ros.errors import VmemError
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.interface.error_codes import refuse
from vmem_ros.nodes.interface.names import ACTIONS
from vmem_ros.nodes.interface.rclpy_messages import ns_to_stamp
from vmem_ros.types import Target
from vmem_ros.world import Progress


class GenerateAction:
    """Accepts every goal; one that cannot be served ends aborted with an error code that says why."""

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._futures: dict[bytes, Future] = {}
        action = ACTIONS["generate"]
        self._server = ActionServer(
            core.node,
            action.type,
            action.path,
            self._execute,
            callback_group=core.group,
            cancel_callback=self._on_cancel,
        )

    def destroy(self) -> None:
        """Destroy the server, which the node does not own."""
        self._server.destroy()

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        future = self._futures.get(bytes(handle.goal_id.uuid))
        if future is not None:
            self._core.worker.cancel(future)
        return CancelResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> GenerateViews.Result:
        result = GenerateViews.Result()
        key = bytes(handle.goal_id.uuid)
        request = Request(
            targets=[],
            epoch=self._core.epoch,
            seed=self._generation.seed(handle.request.seed),
            on_progress=lambda progress, eta_s: handle.publish_feedback(_feedback(progress, eta_s)),
            should_stop=lambda: handle.is_cancel_requested,
        )
        try:
            request.targets = await self._targets(handle.request)
            self._futures[key] = self._generation.submit(request)
            await self._futures[key]
            handle.succeed()
        except Exception as error:
            refuse(result, self._core.report("~/generate", error))
            if handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
        finally:
            self._futures.pop(key, None)
        result.generated = len(request.stamps_ns)
        result.stamps = [ns_to_stamp(s) for s in request.stamps_ns]
        result.remembered = request.remembered
        result.seconds = request.seconds
        return result

    async def _targets(self, goal: GenerateViews.Goal) -> list[Target]:
        """Return the targets of a goal; poses without a stamp get one of their own."""
        camera = camera_from_message(goal.camera_info) if goal.camera_info.width else self._core.rig.camera
        targets = []
        for i, stamped in enumerate(goal.poses):
            try:
                T_world_camera, stamp_ns = await self._core.camera_pose(stamped)
            except VmemError as error:
                raise type(error)(f"pose {i + 1} of {len(goal.poses)}: {error}") from error
            targets.append(Target(camera, T_world_camera, stamp_ns or self._core.unique_stamp_ns()))
        return targets


def _feedback(progress: Progress, eta_s: float) -> GenerateViews.Feedback:
    return GenerateViews.Feedback(
        view=progress.view, views=progress.views, step=progress.step, steps=progress.steps, eta_s=eta_s
    )
