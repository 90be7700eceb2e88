"""What a memory, a generator and a geometry estimator must do: the seams between the rooms.

Nothing here speaks of surfels or diffusion. A memory of latents, point clouds or neural fields fits behind the same
``read`` and ``write``; a generator says what it uses of a recall, and gets no less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from vmem_ros.edits import Edit, Edited
from vmem_ros.types import Elements, PointMap, Projection, Recall, Target, View

#: Called between steps of long work as ``on_step(step, steps)``; steps count from 1.
OnStep = Callable[[int, int], None]
#: Asked between steps of long work; true ends it with :class:`~vmem_ros.errors.CancelledError`.
ShouldStop = Callable[[], bool]
#: What a generator may look at: reference views, projections, their features, the newest views, depth of views and
#: projections, and a text prompt.
Use = Literal["views", "projection", "features", "newest", "depth", "prompt"]


class Memory(Protocol):
    """Everything a world remembers.

    Writing makes *commits*, the unit of undo. A write with the label of the newest commit extends it; a write without
    a label is a commit of its own.
    """

    #: Name under which :func:`~vmem_ros.memory.load_memory` makes it, or ``module:factory``. World files carry it.
    kind: str
    #: Where its tensors live.
    device: torch.device

    def __len__(self) -> int:
        """Return the number of stored views."""
        ...

    @property
    def views(self) -> Sequence[View]:
        """Stored views in the order in which they were written."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held by everything that is remembered."""
        ...

    @property
    def commits(self) -> Sequence[int]:
        """Number of views of each commit, oldest first, 0 of an edit; their sum is the number of stored views."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Options it was made with, by name, JSON-able; world files carry them."""
        ...

    def figures(self) -> Mapping[str, int | float]:
        """Return numbers for status and diagnostics by name, such as ``{"surfels": 81204}``; cheap to ask."""
        ...

    def elements(self) -> Elements:
        """Return what the memory would show as a cloud, in the world frame."""
        ...

    def read(self, targets: Sequence[Target], k: int = 4, *, record: bool = True) -> Recall:
        """Return the ``k`` views that matter for the targets and what memory already shows at each of them.

        :param record: note which views were useful, for the choice of what is forgotten first; false leaves no trace.
        :raises NotSeededError: nothing is stored yet.
        """
        ...

    def project(self, target: Target) -> Projection:
        """Return what memory alone shows at one pose; an empty memory shows nothing. Changes nothing."""
        ...

    def write(self, views: Sequence[View], maps: Sequence[PointMap], *, label: str = "", evict: bool = True) -> None:
        """Store views with their geometry: all of them, or on any error none.

        :param label: of the commit; see the class.
        :param evict: forget what exceeds the bounds of the memory, if it has any; false leaves that to a later write.
        """
        ...

    def find(self, target: Target) -> View | None:
        """Return the newest stored view with exactly this camera and pose, or ``None``.

        A view that lacks something, because it was masked or edited, is none.
        """
        ...

    def undo(self, n: int = 1) -> None:
        """Remove the last ``n`` commits and exactly what they changed, bit by bit.

        :raises NothingToUndoError: fewer than ``n`` commits are stored.
        """
        ...

    def empty_copy(self) -> Memory:
        """Return an empty memory of the same kind, with the same options, on the same device."""
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


@runtime_checkable
class Editable(Memory, Protocol):
    """A memory whose content can be edited; :class:`~vmem_ros.memory.editing.EditableViewMemory` helps to be one.

    What is removed is shown from no pose any more, not from stored views either, and views that lost something are no
    answer of :meth:`find`; what is added is shown from every pose, in front of what views saw behind it. Views that are
    written later are not affected, but that what was added hides them, too.
    """

    def edit(self, edit: Edit) -> Edited:
        """Remove what is remembered in some regions, then add a cloud: one commit, with no view. On any error nothing.

        Equal edits of equal memories have equal results, bit by bit; branches rely on it.

        :raises NotSeededError: nothing is stored yet.
        :raises InvalidEditError: there is nothing to remove in the regions, and nothing to add.
        """
        ...


@runtime_checkable
class HasNotes(Protocol):
    """What a generator may have beside what it must have."""

    def notes(self) -> tuple[str, ...]:
        """Return, each in words, what users should know of what was made last; usually nothing."""
        ...


@runtime_checkable
class HasEncodings(Protocol):
    """What a generator has that puts latents or embeddings into its views."""

    def encodings(self) -> str:
        """Return by what name its encodings go: another one where the networks that make them have other weights."""
        ...


class Generator(Protocol):
    """Draws new views from remembered ones."""

    #: Short name for status and reports.
    name: str
    #: What conditions the new views.
    uses: frozenset[Use]
    #: How many targets one pass likes; a world asks for so many at a time.
    frames: int

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
        """Return one view per target, ``source="generated"``.

        A view may come with depth, in the scale of the recall or in one of its own: it is aligned to what is
        remembered before it is written.

        :param recall: references and projections, the latter one per target.
        :param prompt: text for generators that use one.
        :param seed: equal seeds give equal views; ``None`` draws a new one.
        :raises CancelledError: ``should_stop`` returned true.
        """
        ...


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """What one call of :meth:`Generator.generate` is asked for."""

    recall: Recall
    targets: Sequence[Target]
    seed: int | None = None


@runtime_checkable
class DrawsTogether(Protocol):
    """What a generator has that draws from several recalls at once, for less than one after another."""

    def generate_together(
        self,
        requests: Sequence[DrawRequest],
        *,
        prompt: str | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[list[View]]:
        """Return for each request what :meth:`Generator.generate` returns for it alone, up to rounding."""
        ...


@runtime_checkable
class IgnoresSeeds(Protocol):
    """What a generator has that draws equal views whatever the seed: it invents nothing that might be otherwise."""

    ignores_seeds: Literal[True]


class PointMapEstimator(Protocol):
    """Finds the geometry of new views; poses, intrinsics and everything remembered are frozen."""

    #: Short name for status and reports.
    name: str
    #: Whether it looks at images, and so also knows the geometry of a view where nothing is remembered.
    uses_image: bool
    #: Whether its depth is in metres where nothing is remembered; otherwise a world that begins with it has a scale of
    #: its own.
    metric: bool

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view.

        :param recall: the recall the views were generated from; ``recall.projections[i]`` belongs to ``views[i]``.
        """
        ...
