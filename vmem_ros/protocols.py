"""What a memory, a generator and a geometry estimator must do: the seams between the rooms.

Nothing here speaks of surfels or diffusion. A memory of latents, point clouds or neural fields fits behind the same
``read`` and ``write``; a generator uses the reference views, the projection, or both, and says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from vmem_ros.types import PointMap, Projection, Recall, Target, View

#: Called between steps of long work as ``on_step(step, steps)``; steps count from 1.
OnStep = Callable[[int, int], None]
#: Asked between steps of long work; true ends it with :class:`~vmem_ros.errors.CancelledError`.
ShouldStop = Callable[[], bool]


class Memory(Protocol):
    """Everything a world remembers."""

    def __len__(self) -> int:
        """Return the number of stored views."""
        ...

    def read(self, targets: Sequence[Target], k: int) -> Recall:
        """Return the ``k`` views that matter for the targets and what memory already shows at each of them.

        :raises NotSeededError: nothing is stored yet.
        """
        ...

    def project(self, target: Target) -> Projection:
        """Return what memory alone shows at one pose; an empty memory shows nothing. Changes nothing."""
        ...

    def write(self, views: Sequence[View], maps: Sequence[PointMap]) -> None:
        """Store views with their geometry: all of them, or on any error none."""
        ...

    def find(self, target: Target) -> View | None:
        """Return a stored view with exactly this camera and pose, or ``None``."""
        ...

    def undo(self, n: int) -> None:
        """Remove the last ``n`` views and exactly what they added.

        :raises NothingToUndoError: fewer than ``n`` views are stored.
        """
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything as named tensors and JSON-able metadata."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Replace the content by what :meth:`state` returned; on any error the content stays as it was.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Generator(Protocol):
    """Draws new views from remembered ones."""

    #: Short name for status and reports.
    name: str
    #: What conditions the new views.
    uses: frozenset[Literal["views", "projection"]]

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target, ``source="generated"``, without depth.

        :param recall: references and projections, the latter one per target.
        :param seed: equal seeds give equal views; ``None`` draws a new one.
        :raises CancelledError: ``should_stop`` returned true.
        """
        ...


class PointMapEstimator(Protocol):
    """Finds the geometry of new views; poses, intrinsics and everything remembered are frozen."""

    #: Short name for status and reports.
    name: str
    #: Whether it looks at the pictures, and so also knows the geometry of one that nothing remembered tells of.
    uses_image: bool

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view.

        :param recall: the recall the views were generated from; ``recall.projections[i]`` belongs to ``views[i]``.
        """
        ...
