"""A viewer's backend on a world of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import cast

from torch import Tensor

from vmem_ros.errors import CancelledError
from vmem_ros.geometry import Camera, as_pose
from vmem_ros.types import Target, View
from vmem_ros.viewer.backend import Status
from vmem_ros.viewer.snapshot import Preview, Snapshot, Snapshots
from vmem_ros.viewer.world_thread import WorldThread
from vmem_ros.world import Progress, World

_PREVIEW_PERIOD_S, _SNAPSHOT_PERIOD_S = 1 / 15, 0.5
_MAX_POINTS = 300_000


class WorldBackend:
    """Owns the world from now on, in one thread.

    :param camera: the lens of views that are generated.
    :param title: of the world, for people.
    :param save_as: where it is saved.
    :param seed: of the generator; ``None``: random.
    """

    def __init__(self, world: World, camera: Camera, *, title: str, save_as: Path, seed: int | None = None) -> None:
        self._camera, self._title, self._save_as, self._seed = camera, title, save_as, seed
        self._engine, self._takes_prompt = world.generator.name, "prompt" in world.generator.uses
        views = world.memory.views
        self._pose: Tensor | None = views[-1].T_world_camera if len(views) else None
        self._snapshots = Snapshots()
        self._version = self._saved_version = 0
        self._cancelled = 0
        self._activity: str = ""
        self._fraction: float | None = None
        self._summary = self._summary_of(world)
        self._views = len(world)
        self._thread = WorldThread(world)

    @property
    def unsaved(self) -> bool:
        """Whether the world has changed since it was saved, or made."""
        return self._version != self._saved_version

    # -- of a backend ------------------------------------------------------------------------------------------------
    def status(self) -> Status:
        """See :class:`~vmem_ros.viewer.backend.Backend`, as of all that follow."""
        return Status(
            version=self._version,
            ready=True,
            views=self._views,
            summary=self._summary,
            activity=self._activity or "idle",
            fraction=self._fraction,
            takes_prompt=self._takes_prompt,
            T_world_camera=self._pose,
            camera=self._camera,
            preview_period_s=_PREVIEW_PERIOD_S,
            snapshot_period_s=_SNAPSHOT_PERIOD_S,
        )

    def snapshot(self) -> Future[Snapshot]:
        return self._thread.read(lambda world: self._snapshots.take(world, max_points=_MAX_POINTS))

    def preview(self, target: Target) -> Future[Preview]:
        return self._thread.read(lambda world: Preview.of(world.glimpse(target)))

    def move(self, T_world_camera: Tensor) -> None:
        self._pose = as_pose(T_world_camera)

    def generate(self, prompt: str) -> Future[str]:
        pose, stopped = self._pose, self._stop_condition()

        def draw(world: World) -> str:
            if pose is None:
                raise CancelledError("the camera is nowhere yet: move it first")
            target = Target(self._camera, pose, time.time_ns())
            began = time.monotonic()
            frames = list(
                world.explore(
                    [target],
                    prompt=prompt or None,
                    seed=self._seed,
                    on_progress=lambda progress: self._on_progress(progress, began),
                    should_stop=stopped,
                )
            )
            seen = float(frames[0].projection.seen.float().mean())
            if frames[0].reused:
                return "this view is remembered already; move a little to draw another one"
            return f"drew a view in {time.monotonic() - began:.1f} s; memory knew {seen:.0%} of it"

        return self._change("drawing", draw)

    def cancel(self) -> None:
        self._cancelled += 1

    def undo(self) -> Future[str]:
        def undo(world: World) -> str:
            world.undo()
            return f"took the last change back, {len(world)} views remain"

        return self._change("taking the last change back", undo)

    def save(self, *, overwrite: bool) -> Future[str]:
        def save(world: World) -> str:
            size = world.save(self._save_as, overwrite=overwrite)
            self._saved_version = self._version
            return f"saved {self._save_as} ({size / 1e6:.1f} MB)"

        return cast("Future[str]", self._thread.change(save))

    # -- of this one -------------------------------------------------------------------------------------------------
    def observe(self, count: int, look: Callable[[int], View], *, refine: bool = False) -> Future[str]:
        """Remember what a camera saw; the viewer shows the world as it grows.

        :param look: called in the world's thread with the numbers from 0 to ``count - 1``.
        :param refine: see :meth:`~vmem_ros.world.World.observe`.
        """
        stopped = self._stop_condition()

        def observe(world: World) -> str:
            for number in range(count):
                if stopped():
                    raise CancelledError(f"stopped after {number} of {count} frames, which are remembered")
                self._fraction, self._activity = number / count, f"looks at frame {number + 1} of {count}"
                view = look(number)
                world.observe(view, refine=refine)
                if self._pose is None:
                    self._pose = view.T_world_camera
                self._changed(world)
                self._thread.serve_reads()
            return f"remembered {count} frames"

        return self._change("looking", observe)

    def close(self, *, timeout_s: float = 5.0) -> bool:
        """End what runs at its next step; false: it did not in time."""
        return self._thread.close(timeout_s=timeout_s)

    # -- in the world's thread ---------------------------------------------------------------------------------------
    def _change(self, activity: str, work: Callable[[World], str]) -> Future[str]:
        def run(world: World) -> str:
            self._activity, self._fraction = activity, 0.0
            try:
                return work(world)
            finally:
                self._activity, self._fraction = "", None
                self._changed(world)

        return cast("Future[str]", self._thread.change(run))

    def _on_progress(self, progress: Progress, began: float) -> None:
        left_s = (time.monotonic() - began) * (1 / progress.fraction - 1)
        self._fraction = progress.fraction
        self._activity = f"step {progress.step} of {progress.steps}, {left_s:.0f} s to go"
        self._thread.serve_reads()

    def _stop_condition(self) -> Callable[[], bool]:
        """Return whether what is asked for now is to end: it was cancelled since, or the viewer closes."""
        asked = self._cancelled
        return lambda: self._cancelled != asked or self._thread.closing

    def _changed(self, world: World) -> None:
        self._views, self._summary = len(world), self._summary_of(world)
        self._version += 1

    def _summary_of(self, world: World) -> str:
        memory = world.memory
        figures = ", ".join(f"{value:,} {name}" for name, value in memory.figures().items())
        return f"{self._title} · engine {world.generator.name} · {len(world)} views · {figures}"
