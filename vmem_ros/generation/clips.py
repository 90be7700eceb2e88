"""What every engine of clips does around its network: rounds, views to go on from, references, progress, cancel.

A network of clips draws some of a path at once, at one size, and goes on from pictures that are known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.enlarging import fit_into
from vmem_ros.generation.noise import seeded_noise
from vmem_ros.generation.resizing import drawn_smaller, working_size
from vmem_ros.generation.wan.rounds import Round, RoundSettings, plan_rounds
from vmem_ros.geometry import Camera, geodesic_distance
from vmem_ros.protocols import OnStep, ShouldStop
from vmem_ros.types import Projection, Recall, Target, View


class ClipGenerator(ABC):
    """Draws new views as clips; see :class:`vmem_ros.protocols.Generator`. A subclass says how a round is drawn.

    A clip begins with the newest views, if the path goes on from them, or with the one remembered view that is nearest
    to where the path begins. References are the recalled views that the clip does not begin with. Clips are drawn at
    the nearest size that the network can work at, with the same field of view, and resampled.

    :param rounds: lengths of clips.
    :param steps: evaluations of the network for a round.
    :param multiple: both sides in pixels are multiples of it.
    :param cell_px: side in pixels of what the network cannot resolve.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: none.
    :param min_side: the larger side in pixels is at least about this; ``None``: as asked for.
    :raises ModelError: ``max_side`` is less than the smallest size of the network.
    """

    def __init__(
        self,
        *,
        rounds: RoundSettings,
        steps: int,
        multiple: int,
        cell_px: int,
        max_references: int,
        max_side: int | None,
        min_side: int | None = None,
    ) -> None:
        if max_side is not None and max_side < multiple:
            raise ModelError(f"max_side must be at least {multiple} for this model, got {max_side}")
        self.rounds, self.max_references = rounds, max_references
        self.max_side, self.min_side = max_side, min_side
        self.frames: int = rounds.new_frames
        self._steps, self._multiple, self._cell_px = steps, multiple, cell_px
        self._notes: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Return what users should know of the views drawn last."""
        return self._notes

    @torch.no_grad()
    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`.

        :raises ModelError: the recall has no view.
        """
        if not targets or not (recall.views or recall.newest):
            raise ModelError(f"nothing to draw from: {len(recall.views)} references for {len(targets)} targets")
        known = self._known(recall, targets[0])
        plan = plan_rounds(len(known) + len(targets), self.rounds, len(known))
        begins_with = known[len(known) - plan[0].history :]
        references = [view for view in recall.views if not any(is_same_view(view, other) for other in begins_with)]
        size = self._size(targets[0].camera)
        self._notes = self._noted(recall, len(known), len(begins_with), targets[0], size)
        noise = seeded_noise(seed)
        views = list(known)
        for number, clip in enumerate(plan):

            def after_step(step: int, before: int = number * self._steps) -> None:
                if on_step is not None:
                    on_step(before + step, self._steps * len(plan))
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after denoising step {before + step} of {self._steps * len(plan)}")

            first = clip.start + clip.history
            wanted = slice(first - len(known), clip.end - len(known))
            views += self._draw(
                clip,
                views[:first],
                references[: self.max_references],
                targets[wanted],
                recall.projections[wanted],
                size,
                prompt,
                noise,
                after_step,
            )
        return views[len(known) :]

    @abstractmethod
    def _draw(
        self,
        clip: Round,
        known: Sequence[View],
        references: Sequence[View],
        targets: Sequence[Target],
        projections: Sequence[Projection],
        size: tuple[int, int],
        prompt: str | None,
        noise: torch.Generator,
        after_step: Callable[[int], None],
    ) -> list[View]:
        """Return the views of one round, one per target.

        :param known: views before it, oldest first; the last ones are those that it begins with.
        :param after_step: to be called after each evaluation of the network, with its number from 1; raises if the
            drawing is to stop.
        """

    def _known(self, recall: Recall, target: Target) -> list[View]:
        """Return the views that a clip may begin with, oldest first; the last is nearest to where the path begins."""
        candidates = [*recall.newest[-1:], *recall.views]
        start = min(candidates, key=lambda view: float(geodesic_distance(view.T_world_camera, target.T_world_camera)))
        if not recall.newest or start is not recall.newest[-1]:
            return [start]
        # Of one camera: a clip does not change its field of view.
        run = takewhile(lambda view: view.camera == start.camera, reversed(recall.newest))
        return list(run)[::-1]

    def _views(self, pictures: Tensor, targets: Sequence[Target], projections: Sequence[Projection]) -> list[View]:
        """Return the views of pictures [n, h, w, 3] uint8, of which the first are those of the targets."""
        return [
            View(
                self._in_size(picture, target, projection),
                target.camera,
                target.T_world_camera,
                stamp_ns=target.stamp_ns,
                source="generated",
            )
            for picture, target, projection in zip(pictures, targets, projections, strict=False)
        ]

    def _in_size(self, picture: Tensor, target: Target, projection: Projection) -> Tensor:
        """Return a drawn picture in the size asked for, joined to what memory shows where that is larger."""
        return fit_into(picture, target.camera, projection, cell_px=self._cell_px)

    def _size(self, camera: Camera) -> tuple[int, int]:
        return working_size(camera, multiple=self._multiple, max_side=self.max_side, min_side=self.min_side)

    def _noted(
        self, recall: Recall, known: int, begins_with: int, target: Target, size: tuple[int, int]
    ) -> tuple[str, ...]:
        notes = drawn_smaller(target.camera, size, multiple=self._multiple, max_side=self.max_side)
        if begins_with < self.rounds.history and len(recall.newest) > 1:
            notes += (
                f"the clip goes on from one view, not from the newest {self.rounds.history}: {len(recall.newest)} were "
                f"recalled, {known} of them of the same camera and next to where the path begins",
            )
        return notes


def is_same_view(one: View, other: View) -> bool:
    """Return whether two views show the same camera at the same place."""
    return one.camera == other.camera and torch.equal(one.T_world_camera, other.T_world_camera)
