"""The node's world in the browser (``viewer.port``): the same queues and the same worker as for requests over ROS."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from rclpy.executors import Executor
from rclpy.task import Future as RosFuture
from torch import Tensor

from vmem_ros.errors import NotReadyError
from vmem_ros.extras import needs_extra
from vmem_ros.geometry import as_pose
from vmem_ros.messages.transforms import camera_from_link, link_from_camera
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.camera.status import StatusTopic
from vmem_ros.nodes.camera.worker import Lane
from vmem_ros.nodes.camera.world_paths import world_path
from vmem_ros.types import Target
from vmem_ros.viewer.backend import Status
from vmem_ros.viewer.snapshot import Preview, Snapshot, Snapshots
from vmem_ros.world import World

if TYPE_CHECKING:
    from vmem_ros.viewer.viewer import Viewer

_ACTIVITIES = {"unloaded": "not configured", "loading": "loading the model", "failed": "the model could not be loaded"}


class NodeBackend:
    """The backend of a viewer in the camera node.

    Its methods are called in the viewer's threads. They read what the executor and the worker have left there, and hand
    over the rest: neither of the two ever waits for a browser.
    """

    def __init__(self, core: Core, generation: Generation, status: StatusTopic) -> None:
        self._core, self._generation, self._status = core, generation, status
        self._snapshots = Snapshots()
        self._version = 0
        self._cancelled = 0
        self._own: list[RosFuture] = []
        self._lock = threading.Lock()
        self._wanted_pose: Tensor | None = None
        core.on_world_change(lambda world: self._changed())
        core.on_forget(self._changed)

    def status(self) -> Status:
        """See :class:`~vmem_ros.viewer.backend.Backend`, as of all that follow."""
        core, world, progress = self._core, self._status.summary, self._generation.progress
        figures = ", ".join(f"{value:,} {name}" for name, value in world.figures)
        return Status(
            version=self._version,
            ready=core.active and core.worker.state == "ready",
            views=world.views,
            summary=f"engine {world.engine} · {world.views} views · {figures}" if world.engine else "",
            activity=self._activity(),
            fraction=progress.fraction if progress is not None else None,
            takes_prompt=world.reads_prompt,
            T_world_camera=camera_from_link(core.rig.T_world_link) if core.rig.placed else None,
            camera=core.rig.camera,
            preview_period_s=1 / core.parameters["preview.rate_hz"],
            snapshot_period_s=1 / core.parameters["memory.publish_rate_hz"],
        )

    def snapshot(self) -> Future[Snapshot]:
        most = self._core.parameters["memory.max_points"]
        return self._submit("read", lambda world: self._snapshots.take(world, max_points=most))

    def preview(self, target: Target) -> Future[Preview]:
        return self._submit("read", lambda world: Preview.of(world.glimpse(target)))

    def move(self, T_world_camera: Tensor) -> None:
        wanted, executor = as_pose(T_world_camera), self._executor()
        with self._lock:
            waits, self._wanted_pose = self._wanted_pose is not None, wanted
        if not waits:
            executor.create_task(self._core.guarded("viewer", self._move))

    def generate(self, prompt: str) -> Future[str]:
        asked = self._cancelled

        async def draw() -> str:
            core = self._core
            target = core.rig.target(core.rig.camera, core.view_stamp_ns())
            request = Request(
                [target],
                core.epoch,
                seed=self._generation.seed(-1),
                prompt=prompt,
                should_stop=lambda: self._cancelled != asked,
            )
            future = self._generation.submit(request)
            self._own.append(future)
            try:
                await future
            finally:
                self._own.remove(future)
            return f"drew a view in {request.seconds:.1f} s; memory knew {request.remembered[0]:.0%} of it"

        return self._in_executor(draw)

    def cancel(self) -> None:
        self._cancelled += 1
        for future in list(self._own):
            self._core.worker.cancel(future)
        self._core.state_changed()

    def undo(self) -> Future[str]:
        def undo(world: World) -> str:
            world.undo()
            return f"took the last change back, {len(world)} views remain"

        return self._in_executor(lambda: self._core.run(undo, takes_back=True))

    def save(self, *, overwrite: bool) -> Future[str]:
        async def save() -> str:
            p = self._core.parameters
            path = world_path(p["world.root"], p["world.path"])
            self._core.require_active()
            size = await self._core.worker.submit(
                "command", lambda world: world.save(path, overwrite=overwrite, make_folder=True)
            )
            return f"saved {path} ({size / 1e6:.1f} MB)"

        return self._in_executor(save)

    # -- in the executor's thread ------------------------------------------------------------------------------------
    def _move(self) -> None:
        with self._lock:
            wanted, self._wanted_pose = self._wanted_pose, None
        if wanted is not None:
            self._core.rig.move(link_from_camera(wanted), self._core.unique_stamp_ns())

    # -- inside ------------------------------------------------------------------------------------------------------
    def _changed(self) -> None:
        self._version += 1

    def _activity(self) -> str:
        worker, progress = self._core.worker, self._generation.progress
        if worker.state != "ready":
            return _ACTIVITIES[worker.state]
        if not self._core.active:
            return "inactive"
        if progress is not None:
            return (
                f"view {progress.view} of {progress.views}, step {progress.step} of {progress.steps}, "
                f"{self._generation.eta_s:.0f} s to go"
            )
        return "paused" if worker.paused else "idle"

    def _executor(self) -> Executor:
        executor = self._core.node.executor
        if executor is None:
            raise NotReadyError("the camera node starts: wait a moment")
        return executor

    def _in_executor(self, work: Callable[[], Awaitable[str]]) -> Future[str]:
        """Do something as a callback of the node would."""
        out: Future[str] = Future()

        async def attend() -> None:
            try:
                out.set_result(await work())
            except Exception as error:
                out.set_exception(self._core.report("viewer", error))

        self._executor().create_task(attend)
        return out

    def _submit(self, lane: Lane, work: Callable[[World], Any]) -> Future[Any]:
        """Queue work for the worker's thread."""
        out: Future[Any] = Future()

        def hand_over(done: RosFuture) -> None:
            if done.cancelled():
                out.cancel()
            elif (error := done.exception()) is not None:
                out.set_exception(error)
            else:
                out.set_result(done.result())

        self._core.worker.submit(lane, work).add_done_callback(hand_over)
        return out


def open_viewer(core: Core, generation: Generation, status: StatusTopic) -> Viewer | None:
    """Open the browser view where ``viewer.port`` says, or return ``None`` where it is 0.

    :raises MissingPackageError: the extra ``viewer`` is not installed.
    :raises ViewerError: the port cannot be had.
    """
    host, port = core.parameters["viewer.host"], core.parameters["viewer.port"]
    if not port:
        return None
    with needs_extra("viewer", "viewer.port"):
        from vmem_ros.viewer.viewer import Viewer
    title = core.node.get_fully_qualified_name().rpartition("/")[0].lstrip("/") or "vmem"
    viewer = Viewer(NodeBackend(core, generation, status), host=host, port=port, title=title)
    core.node.get_logger().info(f"the world in the browser: {viewer.url}")
    return viewer
