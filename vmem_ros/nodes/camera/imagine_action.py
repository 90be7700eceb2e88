"""The action ~/imagine: candidate paths in, what would be seen along each of them out; the world stays as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from vmem_ros.action import ImaginePaths
from vmem_ros.msg import ImaginedPath as ImaginedPathMessage

from vmem_ros.errors import FrameError, InvalidPoseError
from vmem_ros.messages.transforms import camera_from_link
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.goal_poses import pose_list
from vmem_ros.nodes.camera.goal_server import GoalServer
from vmem_ros.nodes.camera.imagined_stream import ImaginedStream
from vmem_ros.nodes.camera.requests import Drawing, Generation, OnProgress
from vmem_ros.protocols import ShouldStop
from vmem_ros.types import Target
from vmem_ros.world import Progress, World
from vmem_ros.world_imagining import Figures


class ImagineAction:
    """Serves the goals of ~/imagine."""

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._stream = ImaginedStream(core)
        self._server = GoalServer(core, "imagine", ImaginePaths, self._serve)

    def destroy(self) -> None:
        """Destroy the server, which the node does not own."""
        self._server.destroy()

    async def _serve(
        self, handle: ServerGoalHandle, result: ImaginePaths.Result, until_done: Callable[[Future], Awaitable[Any]]
    ) -> None:
        goal, goal_id = handle.request, bytes(handle.goal_id.uuid)
        request = Drawing(
            seed=self._generation.seed(goal.seed),
            prompt=goal.prompt,
            on_progress=lambda progress, eta_s: handle.publish_feedback(_feedback(progress, eta_s)),
            should_stop=lambda: handle.is_cancel_requested,
        )
        paths = await self._targets(goal)
        messages: list[list[Any]] = [[] for _ in paths]
        figures: list[list[Figures]] = [[] for _ in paths]

        def draw(world: World, on_progress: OnProgress, should_stop: ShouldStop) -> None:
            drawn = world.imagine_views(
                paths,
                prompt=request.prompt or self._core.parameters["prompt"] or None,
                seed=request.seed,
                two_seeds=not goal.one_seed,
                together=self._core.parameters["imagine.max_batch"],
                on_progress=on_progress,
                should_stop=should_stop,
            )
            for view in drawn:
                self._core.worker.raise_if_ended()
                target = paths[view.path][view.number]
                self._stream.publish(view, target, goal_id)
                messages[view.path].append(self._stream.message(view, target, goal_id, pictures=goal.images))
                figures[view.path].append(view.figures)
                self._core.worker.serve_commands(should_stop)

        try:
            await until_done(self._generation.queue(request, draw))
        finally:
            found = map(Figures.of_path, figures)
            result.paths = [_path(path, of_path) for path, of_path in zip(found, messages, strict=True)]
            result.seconds = request.seconds

    async def _targets(self, goal: ImaginePaths.Goal) -> list[list[Target]]:
        """Return the targets of each path; poses without a stamp get one of their own."""
        core, p = self._core, self._core.parameters
        count, most = sum(len(path.poses) for path in goal.paths), p["imagine.max_views"]
        if not goal.paths:
            raise InvalidPoseError("the goal has no paths: send at least one")
        if count > most:
            raise InvalidPoseError(
                f"the goal has {count} poses in {len(goal.paths)} paths, imagine.max_views is {most}: send fewer at a "
                "time, or raise it"
            )
        camera = core.camera_of(goal.camera_info) if goal.camera_info.width else core.rig.camera
        pixels, most = count * camera.width * camera.height, p["imagine.max_result_pixels"]
        if goal.images and pixels > most:
            raise InvalidPoseError(
                f"the pictures of {count} views have {pixels:,} pixels, imagine.max_result_pixels is {most:,}: take "
                "them from imagined/view, ask for smaller or fewer views, or raise it"
            )
        out = []
        for number, path in enumerate(goal.paths, 1):
            which = f"path {number} of {len(goal.paths)}"
            if not path.poses:
                raise InvalidPoseError(f"{which} has no poses: send at least one")
            poses = pose_list(path.poses, frame_id=path.header.frame_id)
            try:
                T_world_camera = camera_from_link(await core.links_of(poses))
            except (InvalidPoseError, FrameError) as error:
                raise type(error)(f"{which}: {error}") from error
            stamps = [stamp_ns or core.unique_stamp_ns() for stamp_ns in poses.stamps_ns]
            out.append([Target(camera, T, stamp) for T, stamp in zip(T_world_camera, stamps, strict=True)])
        return out


def _path(figures: Figures, views: list[Any]) -> ImaginedPathMessage:
    return ImaginedPathMessage(
        views=views,
        remembered=figures.remembered,
        mean_confidence=figures.confidence,
        nearest_depth=figures.nearest_depth_m,
        disagreement=figures.disagreement,
    )


def _feedback(progress: Progress, eta_s: float) -> ImaginePaths.Feedback:
    return ImaginePaths.Feedback(
        view=progress.view, views=progress.views, step=progress.step, steps=progress.steps, eta_s=eta_s
    )
