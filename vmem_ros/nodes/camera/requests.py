"""Requests for generated views: queued, drawn in the worker's thread, published as they are committed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rclpy.task import Future

from vmem_ros.errors import ErrorCode, InvalidPoseError, NotReadyError
from vmem_ros.nodes.camera.camera_stream import CameraStream
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.error_codes import as_vmem_error
from vmem_ros.types import Target
from vmem_ros.world import Frame, Progress, World


@dataclass(eq=False)
class Request:
    """Views that somebody wants, and what has become of them.

    :param epoch: the :attr:`~vmem_ros.nodes.camera.core.Core.epoch` of the targets' stamps.
    :param seed: of the generator, ``None``: random.
    :param on_progress: called in the worker's thread between steps with the progress and the ETA in seconds.
    :param should_stop: asked between steps; true cancels.
    :param superseded: asked between chunks; true leaves out the views that are not drawn yet.
    """

    targets: Sequence[Target]
    epoch: int
    seed: int | None = None
    on_progress: Callable[[Progress, float], None] | None = None
    should_stop: Callable[[], bool] = field(default=lambda: False)
    superseded: Callable[[], bool] = field(default=lambda: False)
    #: Stamps of the views that were committed and published, in order.
    stamps_ns: list[int] = field(default_factory=list)
    #: Share of each of them that memory showed before.
    remembered: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Generation:
    """Draws requests one after the other, and keeps the figures that ~/status and /diagnostics show."""

    def __init__(self, core: Core, stream: CameraStream) -> None:
        self._core = core
        self._stream = stream
        #: Progress of the running request and seconds until it is done; ``None`` between requests.
        self.progress: Progress | None = None
        self.eta_s = math.nan
        self.last_view_s = math.nan
        self.views_done = 0
        self.last_code = ErrorCode.NONE
        self.last_message = ""
        #: The newest view had nothing remembered in sight.
        self.used_fallback = False

    def submit(self, request: Request) -> Future:
        """Queue a request; the future is done when all its views are published, or it is superseded.

        :raises VmemError: not active, generation disabled, no targets, queue full.
        """
        self._core.require_active()
        if self._core.parameters["camera.mode"] == "disabled":
            raise NotReadyError("camera.mode is 'disabled': start the node with 'polled' or 'streaming' to generate")
        if not request.targets:
            raise InvalidPoseError("the request has no poses: send at least one")
        future = self._core.worker.submit("request", lambda world: self._run(world, request))
        self._core.state_changed()
        return future

    def seed(self, asked: int) -> int | None:
        """Return the seed of a request: its own, else the parameter's, else ``None`` for random."""
        chosen = asked if asked >= 0 else self._core.parameters["camera.seed"]
        return chosen if chosen >= 0 else None

    # -- in the worker's thread --------------------------------------------------------------------------------------
    def _run(self, world: World, request: Request) -> None:
        worker = self._core.worker
        began = time.monotonic()

        def should_stop() -> bool:
            worker.raise_if_ended()
            return request.should_stop()

        def on_progress(progress: Progress) -> None:
            self.eta_s = (time.monotonic() - began) * (1 / progress.fraction - 1)
            self.progress = progress
            self._core.state_changed()
            if request.on_progress is not None:
                request.on_progress(progress, self.eta_s)
            worker.serve_reads()

        try:
            worker.serve_commands(should_stop)
            self._explore(world, request, on_progress, should_stop)
            self.last_code, self.last_message = ErrorCode.NONE, ""
        except Exception as error:
            named = as_vmem_error(error)
            self.last_code, self.last_message = named.code, str(named)
            raise
        finally:
            request.seconds = time.monotonic() - began
            self.progress, self.eta_s = None, math.nan
            self._core.state_changed()

    def _explore(
        self,
        world: World,
        request: Request,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> None:
        chunks = world.explore_chunks(
            request.targets, seed=request.seed, on_progress=on_progress, should_stop=should_stop
        )
        began = time.monotonic()
        for chunk in chunks:
            self.last_view_s = (time.monotonic() - began) / len(chunk.frames)
            self._core.world_changed(world)
            for target, frame in zip(request.targets[chunk.first :], chunk.frames, strict=False):
                self._core.worker.raise_if_ended()
                request.stamps_ns.append(self._stream.publish(frame, target, request.epoch))
                request.remembered.append(float(frame.projection.seen.float().mean()))
                self._count(frame)
            if chunk.first + len(chunk.frames) < chunk.targets:
                self._core.worker.serve_commands(should_stop)
                if request.superseded():
                    return
            began = time.monotonic()

    def _count(self, frame: Frame) -> None:
        self.views_done += 1
        self.used_fallback = frame.recall.fallback
