"""Requests for generated views: queued, drawn in the worker's thread, published as they are committed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rclpy.task import Future

from vmem_ros.errors import CancelledError, ErrorCode, InvalidPoseError, NotReadyError
from vmem_ros.nodes.camera.camera_stream import CameraStream
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.error_codes import as_vmem_error
from vmem_ros.protocols import ShouldStop
from vmem_ros.types import Target
from vmem_ros.world import Frame, Progress, World

#: Called between steps, in the worker's thread.
OnProgress = Callable[[Progress], None]


@dataclass(eq=False, kw_only=True)
class Drawing:
    """Something that the engine is to draw.

    :param seed: of the generator, ``None``: random.
    :param prompt: empty: the parameter's.
    :param on_progress: called in the worker's thread between steps with the progress and the ETA in seconds.
    :param should_stop: asked between steps; true cancels.
    """

    seed: int | None = None
    prompt: str = ""
    on_progress: Callable[[Progress, float], None] | None = None
    should_stop: ShouldStop = field(default=lambda: False)
    seconds: float = 0.0


@dataclass(eq=False)
class Request(Drawing):
    """Views that somebody wants, and what has become of them.

    :param epoch: the :attr:`~vmem_ros.nodes.camera.core.Core.epoch` of the targets' stamps.
    :param superseded: asked between chunks; true leaves out the views that are not drawn yet.
    :param choose: asked once it begins, in the worker's thread: which of the targets are still wanted.
    """

    targets: Sequence[Target]
    epoch: int
    superseded: Callable[[], bool] = field(default=lambda: False)
    choose: Callable[[Sequence[Target]], Sequence[Target]] = field(default=lambda targets: targets)
    #: Stamps of the views that were committed and published, in order.
    stamps_ns: list[int] = field(default_factory=list)
    #: Share of each of them that memory showed before.
    remembered: list[float] = field(default_factory=list)


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
        self._taken_back = False
        core.on_taken_back(self._on_taken_back)

    def submit(self, request: Request) -> Future:
        """Queue a request; the future is done when all its views are published, or it is superseded.

        :raises VmemError: not active, generation disabled, no targets, queue full.
        """
        self._require_generation()
        if not request.targets:
            raise InvalidPoseError("the request has no poses: send at least one")

        def draw(world: World, on_progress: OnProgress, should_stop: ShouldStop) -> None:
            request.targets = request.choose(request.targets)
            if request.targets:
                self._explore(world, request, on_progress, should_stop)

        return self.queue(request, draw)

    def queue(self, drawing: Drawing, draw: Callable[[World, OnProgress, ShouldStop], None]) -> Future:
        """Queue drawing with the model; the future is done when it is.

        :param draw: called in the worker's thread, and to call back between steps.
        :raises VmemError: not active, generation disabled, queue full.
        """
        self._require_generation()
        future = self._core.worker.submit("request", lambda world: self._run(world, drawing, draw))
        self._core.state_changed()
        return future

    def _require_generation(self) -> None:
        self._core.require_active()
        if self._core.parameters["camera.mode"] == "disabled":
            raise NotReadyError("camera.mode is 'disabled': start the node with 'polled' or 'streaming' to generate")

    def seed(self, asked: int) -> int | None:
        """Return the seed of a request: its own, else the parameter's, else ``None`` for random."""
        chosen = asked if asked >= 0 else self._core.parameters["camera.seed"]
        return chosen if chosen >= 0 else None

    # -- in the worker's thread --------------------------------------------------------------------------------------
    def _on_taken_back(self) -> None:
        self._taken_back = True

    def _run(self, world: World, drawing: Drawing, draw: Callable[[World, OnProgress, ShouldStop], None]) -> None:
        worker = self._core.worker
        began = time.monotonic()

        def should_stop() -> bool:
            worker.raise_if_ended()
            return drawing.should_stop()

        def on_progress(progress: Progress) -> None:
            self.eta_s = (time.monotonic() - began) * (1 / progress.fraction - 1)
            self.progress = progress
            self._core.state_changed()
            if drawing.on_progress is not None:
                drawing.on_progress(progress, self.eta_s)
            worker.serve_reads()

        try:
            worker.serve_commands(should_stop)
            draw(world, on_progress, should_stop)
            self.last_code, self.last_message = ErrorCode.NONE, ""
        except Exception as error:
            named = as_vmem_error(error)
            self.last_code, self.last_message = named.code, str(named)
            raise
        finally:
            drawing.seconds = time.monotonic() - began
            self.progress, self.eta_s = None, math.nan
            self._core.state_changed()

    def _explore(
        self,
        world: World,
        request: Request,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> None:
        chunks = world.explore_chunks(
            request.targets,
            prompt=request.prompt or self._core.parameters["prompt"] or None,
            seed=request.seed,
            on_progress=on_progress,
            should_stop=should_stop,
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
                self._taken_back = False
                self._core.worker.serve_commands(should_stop)
                if self._taken_back:
                    _keep_what_is_stored(world, request)
                if request.superseded():
                    return
            began = time.monotonic()

    def _count(self, frame: Frame) -> None:
        self.views_done += 1
        self.used_fallback = frame.recall.fallback


def _keep_what_is_stored(world: World, request: Request) -> None:
    """Look what is left of a request after views were taken back while it was drawn.

    :raises CancelledError: not all; the request then says that it has drawn what is left.
    """
    drawn = len(request.stamps_ns)
    stored = [world.memory.find(target) is not None for target in request.targets[:drawn]]
    if all(stored):
        return
    request.stamps_ns = [stamp for stamp, kept in zip(request.stamps_ns, stored, strict=True) if kept]
    request.remembered = [share for share, kept in zip(request.remembered, stored, strict=True) if kept]
    raise CancelledError(
        f"{drawn - sum(stored)} of the {drawn} views drawn so far were taken back meanwhile (~/undo, ~/reset or "
        f"~/load_world), so the other {len(request.targets) - drawn} were left out: send the request again if they "
        "are still wanted"
    )
