"""What the demo's planner asks the camera, in the ways a planner can: scores, previews, single views, whole paths."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vmem_ros.messages.clouds import elements_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client import CameraClient, Feedback
from vmem_ros.nodes.client.topic_reader import TopicReader
from vmem_ros.nodes.client.view_assembly import CapturedView
from vmem_ros.reporting.stopwatch import Stopwatch
from vmem_ros.reporting.tables import Table, Value
from vmem_ros.scenes.headings import turn_about_vertical
from vmem_ros.types import Elements, Target, View

_RING = 24
# A pose is no candidate where the memory knows of something nearer than this.
_CLEARANCE_M = 0.5
_WAIT_S = 60.0


class Planner:
    """Asks the camera, and notes how long each answer took.

    :param namespace: of the camera node.
    :param seed: of generation.
    """

    def __init__(self, camera: CameraClient, namespace: str, *, seed: int) -> None:
        self._camera = camera
        self._namespace = namespace
        self._seed = seed
        self.watch = Stopwatch()

    @property
    def engine(self) -> str:
        """Name of the generator that answers."""
        return str(self._camera.wait_for(lambda status: bool(status.engine)).engine)

    def next_best_view(self, at: Target) -> Table:
        """Score a ring of headings by how much memory does not know there; look at the best one, and take it back."""
        candidates = [turn_about_vertical(at.T_world_camera, 2 * math.pi * i / _RING) for i in range(_RING)]
        self._camera.render(candidates[0], camera=at.camera, images=False)  # connects
        scored = []
        for T in tqdm(candidates, desc="scoring poses", unit="pose"):
            with self.watch.time("~/render, figures only"):
                figures = self._camera.render(T, camera=at.camera, images=False)
            is_free = not figures.nearest_depth_m < _CLEARANCE_M  # NaN: nothing known is in the way
            scored.append((1 - figures.seen if is_free else -1.0, T, figures))
        scored.sort(key=lambda entry: -entry[0])
        best = self._camera.capture(scored[0][1], camera=at.camera, seed=self._seed)
        self._camera.undo()
        rows: list[dict[str, Value]] = [
            {
                "heading deg": round(math.degrees(math.atan2(float(T[1, 2]), float(T[0, 2])))),
                "unknown": f"{1 - figures.seen:.0%}",
                "nearest m": figures.nearest_depth_m,
            }
            for _, T, figures in scored[:3]
        ]
        note = (
            f"The best three of {_RING} headings at the start of the loop, by the share of the picture that memory "
            f"does not know. The best was generated ({best.remembered:.0%} remembered) and taken back with `~/undo`."
        )
        return Table("Next best view", rows, note)

    def previews(self, targets: Sequence[Target]) -> list[View]:
        """Return what memory alone shows at each target."""
        out = []
        for target in tqdm(targets, desc="previews", unit="view"):
            with self.watch.time(f"~/render, {target.camera.width} x {target.camera.height} picture"):
                shown = self._camera.render(target.T_world_camera, camera=target.camera)
            image, depth = torch.as_tensor(shown.image), torch.as_tensor(shown.depth)
            out.append(View(image, target.camera, target.T_world_camera, depth, source="generated"))
        return out

    def one_by_one(self, targets: Sequence[Target]) -> list[CapturedView]:
        """Move the camera by publishing poses, wait until the preview has followed, and trigger a view there."""
        out = []
        with TopicReader("preview/image_raw", namespace=self._namespace) as topics:
            # The camera may be at the first pose already, and then no preview would show that it has moved there.
            self._move(topics, turn_about_vertical(targets[0].T_world_camera, math.pi))
            for target in tqdm(targets, desc="one by one", unit="view"):
                self._move(topics, target.T_world_camera)
                with self.watch.time("~/capture, until the view is here"):
                    out.append(self._camera.capture())
        return out

    def _move(self, topics: TopicReader, T_world_camera: Tensor) -> None:
        """Publish a pose and wait until the preview shows another place."""
        # The last capture has changed what memory shows: compare with a preview from after it.
        here = topics.wait_for("preview/image_raw", _from(time.time_ns()), timeout_s=_WAIT_S)
        with self.watch.time("pose to preview, over topics"):
            self._camera.move_to(T_world_camera)
            topics.wait_for("preview/image_raw", _unlike(here), timeout_s=_WAIT_S)

    def path(self, targets: Sequence[Target], *, label: str) -> list[CapturedView]:
        """Ask for all views, if there are any, as one action, with its feedback as a progress bar."""
        if not targets:
            return []
        with tqdm(total=len(targets), desc=label, unit="view") as bar:

            def show(feedback: Feedback) -> None:
                bar.update(feedback.view - 1 - bar.n)

            with self.watch.time("~/generate, a view", count=len(targets)):
                poses = [target.T_world_camera for target in targets]
                views = self._camera.generate(poses, seed=self._seed, on_feedback=show)
            bar.update(len(targets) - bar.n)
        return views

    def elements(self) -> Elements:
        """Return the cloud of the memory as it is published once that is complete."""
        stored = self._camera.wait_for(lambda status: status.queued == 0).stored_views
        with TopicReader("memory/surfels", "memory/views", namespace=self._namespace) as topics:
            # Published one after the other, with one stamp.
            views = topics.wait_for("memory/views", lambda m: len(m.poses) == stored, timeout_s=_WAIT_S)
            message = topics.wait_for("memory/surfels", _from(stamp_to_ns(views.header.stamp)), timeout_s=_WAIT_S)
        return elements_from_message(message)


def _from(stamp_ns: int) -> Callable[[Any], bool]:
    return lambda message: stamp_to_ns(message.header.stamp) >= stamp_ns


def _unlike(image: Any) -> Callable[[Any], bool]:
    pixels = bytes(image.data)
    return lambda message: bytes(message.data) != pixels
