"""One step of the loop: what memory recalls for a chunk of targets, what is drawn from it, and what becomes of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.generation import composite_remembered
from vmem_ros.memory import MemoryVersion
from vmem_ros.memory.borrowing import borrow_colors
from vmem_ros.pointmaps import AlignedDepth, GivenDepth
from vmem_ros.protocols import DrawRequest, Generator, PointMapEstimator
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Projection, Recall, Target, View

#: ``none``: the generator's picture as it is; ``remembered``: remembered pixels blended in.
Composite = Literal["none", "remembered"]

_OF_GENERATOR = AlignedDepth(GivenDepth())


@dataclass(frozen=True)
class Progress:
    """Where a run of a world is: step j of m, in the chunk that starts with view i of n; all from 1.

    :param chunk: views of the chunk in work.
    """

    view: int
    views: int
    step: int
    steps: int
    chunk: int

    @property
    def fraction(self) -> float:
        """Share of the whole run that is done, in (0, 1]."""
        return (self.view - 1 + self.chunk * self.step / self.steps) / self.views


@dataclass(frozen=True, eq=False)
class Frame:
    """A generated view and how it came about.

    :param view: the view as it was stored.
    :param confidence: [H, W] float32: 0 invented now, :data:`~vmem_ros.types.IMAGINED_CONFIDENCE` remembered but
        imagined, 1 remembered and once seen by a real camera.
    :param recall: the views and projections it was drawn from.
    :param projection: what memory showed at its pose before it was generated.
    :param reused: a stored view at exactly this pose was returned; nothing was generated or written.
    """

    view: View
    confidence: Tensor
    recall: Recall
    projection: Projection
    reused: bool


@dataclass(frozen=True, eq=False)
class Draft:
    """A chunk before it is drawn.

    :param stored: for each target the view that is returned as it is, if there is one.
    """

    targets: Sequence[Target]
    recall: Recall
    stored: Sequence[View | None]

    def request(self, seed: int | None) -> DrawRequest | None:
        """Return what is to be drawn; ``None``: nothing."""
        new = [i for i, view in enumerate(self.stored) if view is None]
        if not new:
            return None
        targets = [self.targets[i] for i in new]
        shown = borrow_colors([self.recall.projections[i] for i in new], targets, self.recall.views)
        return DrawRequest(dataclasses.replace(self.recall, projections=shown), targets, seed)


@dataclass(frozen=True, eq=False)
class Step:
    """How chunks are drawn; see :class:`vmem_ros.world.World` for the fields."""

    generator: Generator
    estimator: PointMapEstimator
    k: int
    composite: Composite
    reuse_views: bool

    def draft(self, version: MemoryVersion, targets: Sequence[Target]) -> Draft:
        """Return what memory recalls for a chunk; with branches around, without a trace in what they share."""
        recall = version.memory.read(targets, self.k, record=not version.branched)
        stored = [version.memory.find(target) if self.reuse_views else None for target in targets]
        return Draft(targets, recall, stored)

    def composited(self, request: DrawRequest, drawn: Sequence[View]) -> list[View]:
        """Return drawn views with remembered pixels blended in, if they are to be."""
        return [self._finish(v, p) for v, p in zip(drawn, request.recall.projections, strict=True)]

    def located(self, request: DrawRequest, views: Sequence[View]) -> tuple[list[View], list[PointMap]]:
        """Return views with their depth, and their point maps."""
        # Depth that a generator draws is a prediction like any other.
        given = all(view.depth is not None for view in views)
        maps = (_OF_GENERATOR if given else self.estimator).estimate(views, request.recall)
        return [v.having(depth=m.depth) for v, m in zip(views, maps, strict=True)], maps

    def frames(self, draft: Draft, views: Sequence[View]) -> list[Frame]:
        """Return the frames of a chunk in the order of its targets, of the views that were drawn for it."""
        generated = iter(views)
        return [
            Frame(
                view=old or next(generated),
                confidence=self._confidence(projection) if old is None else _confidence_of_stored(old),
                recall=draft.recall,
                projection=projection,
                reused=old is not None,
            )
            for old, projection in zip(draft.stored, draft.recall.projections, strict=True)
        ]

    def _finish(self, view: View, projection: Projection) -> View:
        """Composite a generated view and note which of its pixels a real camera once saw."""
        real = torch.zeros_like(projection.confidence)
        if self.composite == "remembered":
            real = (projection.confidence - IMAGINED_CONFIDENCE).clamp(min=0) / (1 - IMAGINED_CONFIDENCE)
            image = composite_remembered(view.image, projection)
            if not torch.equal(image, view.image):
                # The encodings are those of another picture now. But who goes on from latents keeps what was drawn.
                latent = view.latent if "features" in self.generator.uses else None
                view = view.having(image=image, latent=latent, embedding=None)
        return view.having(confidence=real)

    def _confidence(self, projection: Projection) -> Tensor:
        """Return the confidence of a new view: what was drawn anew is not what a camera saw, though it was shown."""
        if self.composite == "remembered":
            return projection.confidence
        return projection.confidence.clamp(max=IMAGINED_CONFIDENCE)


def _confidence_of_stored(view: View) -> Tensor:
    """Return the confidence of a stored view that is shown again: all of it is remembered."""
    assert view.confidence is not None, "the memory stores the confidence of every view"
    return IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * view.confidence
