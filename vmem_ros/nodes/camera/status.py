"""The topic ~/status: what the node is doing, for late subscribers too."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from vmem_ros.msg import Status

from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.requests import Generation
from vmem_ros.nodes.interface.rclpy_messages import ns_to_stamp
from vmem_ros.protocols import HasNotes
from vmem_ros.world import World

# Progress is published so often at most; changes of the state at once.
_BUSY_PERIOD_S = 1.0


@dataclass(frozen=True)
class WorldSummary:
    """Figures of the world, taken in the worker's thread after it changed."""

    engine: str = ""
    estimator: str = ""
    device: str = ""
    metric: bool = True
    memory: str = ""
    views: int = 0
    nbytes: int = 0
    figures: tuple[tuple[str, int | float], ...] = ()
    notes: tuple[str, ...] = ()
    reads_prompt: bool = False

    @classmethod
    def of(cls, world: World) -> WorldSummary:
        """Return the figures of a world."""
        memory = world.memory
        return cls(
            engine=world.generator.name,
            estimator=world.estimator.name,
            device=str(memory.device),
            metric=world.scale == "metric",
            memory=memory.kind,
            views=len(world),
            nbytes=memory.nbytes,
            figures=tuple(memory.figures().items()),
            notes=world.generator.notes() if isinstance(world.generator, HasNotes) else (),
            reads_prompt="prompt" in world.generator.uses,
        )


class StatusTopic:
    """Publishes on every change of state, and once a second while views are generated; thread-safe."""

    def __init__(self, core: Core, generation: Generation) -> None:
        self._core = core
        self._generation = generation
        self._lock = threading.Lock()
        self._last_key: tuple[object, ...] = ()
        self._last_time = -math.inf
        self.summary = WorldSummary()
        core.on_world_change(self._summarise)
        core.on_forget(self._forget)
        core.on_state_change(self.publish)

    def _summarise(self, world: World) -> None:
        self.summary = WorldSummary.of(world)

    def _forget(self) -> None:
        self.summary = WorldSummary()

    def fallbacks(self) -> list[str]:
        """Return the fallbacks in use, in words."""
        out = []
        if self._generation.used_fallback:
            out.append("nothing of what the newest view shows was remembered: it was drawn from the nearest poses")
        return [*out, *self.summary.notes]

    def publish(self) -> None:
        """Publish what has changed."""
        with self._lock:
            status = self._compose()
            problems = self._core.inputs.problems
            key = (
                status.state,
                status.queued,
                self.summary,
                status.views,
                status.error_code,
                status.error_msg,
                problems,
            )
            now = time.monotonic()
            if key == self._last_key and now - self._last_time < _BUSY_PERIOD_S:
                return
            self._last_key, self._last_time = key, now
            self._core.publishers["~/status"].publish(status)

    def _compose(self) -> Status:
        core, generation, world = self._core, self._generation, self.summary
        progress = generation.progress
        failure = core.worker.failure
        inputs = core.inputs.counts()
        return Status(
            stamp=ns_to_stamp(core.now_ns()),
            state=self._state(),
            seeded=world.views > 0,
            engine=world.engine,
            estimator=world.estimator,
            device=world.device,
            metric_scale=world.metric,
            queued=core.worker.waiting("request"),
            view=progress.view if progress else 0,
            views=progress.views if progress else 0,
            step=progress.step if progress else 0,
            steps=progress.steps if progress else 0,
            eta_s=generation.eta_s,
            last_view_s=generation.last_view_s,
            stored_views=world.views,
            stored_surfels=int(dict(world.figures).get("surfels", 0)),
            memory_bytes=world.nbytes,
            memory=world.memory,
            figure_names=[name for name, _ in world.figures],
            figure_values=[float(value) for _, value in world.figures],
            fallbacks=self.fallbacks(),
            input_problems=list(core.inputs.problems),
            input_names=[name for name, _, _ in inputs],
            inputs_received=[received for _, received, _ in inputs],
            inputs_unused=[unused for _, _, unused in inputs],
            error_code=int(failure.code if failure else generation.last_code),
            error_msg=str(failure) if failure else generation.last_message,
        )

    def _state(self) -> int:
        worker = self._core.worker
        if worker.state != "ready":
            return {
                "unloaded": Status.STATE_UNCONFIGURED,
                "loading": Status.STATE_LOADING,
                "failed": Status.STATE_FAILED,
            }[worker.state]
        if not self._core.active:
            return int(Status.STATE_INACTIVE)
        if worker.paused:
            return int(Status.STATE_PAUSED)
        return int(Status.STATE_GENERATING if self._generation.progress else Status.STATE_IDLE)
