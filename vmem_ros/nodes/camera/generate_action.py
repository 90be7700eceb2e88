"""The action ~/generate: poses in, progress as feedback, images on the camera topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from vmem_ros.action import GenerateViews

from vmem_ros.errors import InvalidPoseError
from vmem_ros.messages.transforms import camera_from_link
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.goal_poses import BoundedGoal, bounded_goals
from vmem_ros.nodes.camera.goal_server import GoalServer
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.interface.rclpy_messages import ns_to_stamp
from vmem_ros.types import Target
from vmem_ros.world import Progress

# How many targets are made before the executor does what has come meanwhile.
_SLICE = 50


class GenerateAction:
    """Serves the goals of ~/generate."""

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        goals = bounded_goals(lambda: core.parameters["generate.max_views"])
        self._server = GoalServer(core, "generate", goals, self._serve)

    def destroy(self) -> None:
        """Destroy the server, which the node does not own."""
        self._server.destroy()

    async def _serve(
        self, handle: ServerGoalHandle, result: GenerateViews.Result, until_done: Callable[[Future], Awaitable[Any]]
    ) -> None:
        request = Request(
            targets=[],
            epoch=self._core.epoch,
            seed=self._generation.seed(handle.request.seed),
            prompt=handle.request.prompt,
            on_progress=lambda progress, eta_s: handle.publish_feedback(_feedback(progress, eta_s)),
            should_stop=lambda: handle.is_cancel_requested,
        )
        try:
            request.targets = await self._targets(handle.request)
            await until_done(self._generation.submit(request))
        finally:
            result.generated = len(request.stamps_ns)
            result.stamps = [ns_to_stamp(s) for s in request.stamps_ns]
            result.remembered = request.remembered
            result.seconds = request.seconds

    async def _targets(self, goal: BoundedGoal) -> list[Target]:
        """Return the targets of a goal; poses without a stamp get one of their own."""
        core, poses = self._core, goal.poses
        most = core.parameters["generate.max_views"]
        if goal.count > most:
            raise InvalidPoseError(
                f"the goal has {goal.count} poses, generate.max_views is {most}: send fewer at a time, or raise it"
            )
        camera = core.camera_of(goal.camera_info) if goal.camera_info.width else core.rig.camera
        T_world_camera = camera_from_link(await core.links_of(poses))
        targets = []
        for number, (T, stamp_ns) in enumerate(zip(T_world_camera, poses.stamps_ns, strict=True)):
            targets.append(Target(camera, T, stamp_ns or core.unique_stamp_ns()))
            if number % _SLICE == _SLICE - 1:
                await core.let_others_run()
        return targets


def _feedback(progress: Progress, eta_s: float) -> GenerateViews.Feedback:
    return GenerateViews.Feedback(
        view=progress.view, views=progress.views, step=progress.step, steps=progress.steps, eta_s=eta_s
    )
