"""One answered pose, with everything that is shown or measured about it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vmem_ros.types import IMAGINED_CONFIDENCE, Projection, Target, View


@dataclass(frozen=True, eq=False)
class Sample:
    """A pose that was asked for and what came back.

    :param view: the generated view.
    :param confidence: [H, W] float32 of that view, 0 invented ... 1 remembered.
    :param preview: what memory alone showed at the pose before the view was generated; black where nothing.
    :param truth: what a camera would have seen there, where that is known.
    """

    view: View
    confidence: Tensor
    preview: View
    truth: View | None = None

    @property
    def remembered(self) -> float:
        """Share of the pixels that memory showed."""
        return float((self.confidence > 0).float().mean())

    @property
    def observed(self) -> float:
        """Share of the pixels that memory showed and a real camera once saw, more than half of each."""
        return float((self.confidence > (1 + IMAGINED_CONFIDENCE) / 2).float().mean())


def preview_of(projection: Projection, target: Target) -> View:
    """Return what memory alone shows at a target as a view."""
    return View(
        projection.image.cpu(), target.camera, target.T_world_camera, projection.depth.cpu(), source="generated"
    )
