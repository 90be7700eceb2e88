"""What most memories share: stored views beside an index of their geometry, written and undone together."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from vmem_ros.edits.masks import grown
from vmem_ros.errors import InvalidImageError, NotSeededError
from vmem_ros.geometry import average_pose
from vmem_ros.memory.choice import Choice, fill_up
from vmem_ros.memory.small_holes import close_small_holes
from vmem_ros.memory.view_store import ViewStore
from vmem_ros.out_of_memory import is_out_of_memory
from vmem_ros.types import BLEND_PX, IMAGINED_CONFIDENCE, PointMap, Projection, Recall, Target, View, confidence_of

_Same = TypeVar("_Same", bound="GeometryIndex")
_Memory = TypeVar("_Memory", bound="ViewMemory")


class GeometryIndex(Protocol):
    """Geometry of views that it knows by their numbers, in the order in which they were added."""

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        ...

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views and what they added, bit by bit; also undoes an addition that failed."""
        ...

    def kept(self: _Same, views: Tensor) -> _Same:
        """Return an index of the views numbered ``views`` [k] int64, ascending, alone."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        ...

    def restored(self: _Same, tensors: Mapping[str, Tensor], views: int) -> _Same:
        """Return an index like this one with what :meth:`state` returned for so many views.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        ...


Index = TypeVar("Index", bound=GeometryIndex)


class ViewMemory(ABC, Generic[Index]):
    """Base of memories that keep views and an index of their geometry; see :class:`vmem_ros.protocols.Memory`.

    A memory of one's own makes the index (:meth:`_new_index`), adds a view to it (:meth:`_add`), projects from
    ``self._index`` and ``self._store`` (:meth:`_project`) and chooses views (:meth:`_choose`). Reading, writing,
    commits, undo, bounds, saving and finding are here.

    :param config: frozen dataclass of options; a field ``max_views`` bounds the views.
    :param device: where pixels and geometry live.
    """

    kind: str

    def __init__(self, config: Any, *, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.device = torch.device(device)
        self.clear()

    # -- to be provided ----------------------------------------------------------------------------------------------
    @abstractmethod
    def _new_index(self) -> Index:
        """Return an empty index."""

    @abstractmethod
    def _add(self, view: View, point_map: PointMap) -> None:
        """Add a view, which is not stored yet, to the index; all is on the memory's device."""

    @abstractmethod
    def _project(self, target: Target) -> Projection:
        """Return what the index shows at one pose, with holes. Changes nothing."""

    @abstractmethod
    def _choose(
        self, targets: Sequence[Target], projections: Sequence[Projection], T_world_query: Tensor, k: int
    ) -> tuple[Choice, Tensor]:
        """Return at most ``k`` views that have to do with the targets, and the votes of all views [V] int64.

        :param projections: of the targets.
        :param T_world_query: [4, 4], the mean of their poses.
        """

    def _exposure(self, view: View) -> Tensor | None:
        """Return the logarithm of the exposure [3] of a view that was just added; ``None`` if nothing is known of it.

        It is not stored yet.
        """
        return None

    def _over_bounds(self) -> bool:
        """Return whether the index is larger than it may be."""
        return False

    # -- asking ------------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._store)

    @property
    def views(self) -> Sequence[View]:
        """Stored views in the order in which they were written."""
        return self._store.views

    @property
    def commits(self) -> Sequence[int]:
        """Number of views of each commit, oldest first."""
        return self._store.commits

    @property
    def options(self) -> Mapping[str, Any]:
        """Options by name."""
        return dataclasses.asdict(self.config)

    @property
    def nbytes(self) -> int:
        """Bytes held by views and index."""
        return self._index.nbytes + self._store.nbytes

    def project(self, target: Target) -> Projection:
        """Return what memory alone shows at one pose, with holes. Changes nothing.

        Holes of a few pixels in a surface are closed (:mod:`~vmem_ros.memory.small_holes`). An observed view at its
        own pose shows itself, whole, also where it has no depth; so does a generated one, but where a camera saw what
        is shown.
        """
        shown = close_small_holes(self._project(target), target.camera)
        number = self._store.find(target)
        if number is None:
            return shown
        own = self._store[number]
        itself = _as_imagined if own.source == "generated" else _itself
        return itself(own, shown, hidden=self._hides(shown, number))

    def read(self, targets: Sequence[Target], k: int = 4, *, record: bool = True) -> Recall:
        """Return the ``k`` views that matter for the targets, and what memory shows at each of them.

        If fewer than ``k`` views have anything to do with the targets, the nearest of the others fill up with weight 0;
        if none has, the nearest poses are returned and ``fallback`` says so.

        :param record: count what was useful, for the choice of what is forgotten first.
        :raises NotSeededError: nothing is stored yet.
        """
        if not len(self):
            raise NotSeededError("the memory is empty: seed the world with a first view")
        if not targets:
            raise ValueError("read needs at least one target")
        query = average_pose(torch.stack([t.T_world_camera for t in targets]))
        projections = tuple(self.project(t) for t in targets)
        choice, votes = self._choose(targets, projections, query, k)
        fallback = not choice.views
        if len(choice.views) < min(k, len(self)):
            choice = fill_up(choice, self._store.poses, query, k)
        recall = Recall(
            views=tuple(self._as_shown(i) for i in choice.views),
            weights=choice.weights,
            indices=tuple(choice.views),
            projections=projections,
            fallback=fallback,
            newest=tuple(self._as_shown(i) for i in range(max(0, len(self) - k), len(self))),
        )
        if record:
            self._store.count_votes(votes)
        return recall

    def find(self, target: Target) -> View | None:
        """Return the newest stored view with this camera and pose, or ``None``: none if some was masked or edited."""
        number = self._store.find(target)
        return self._store[number] if number is not None and self._is_whole(number) else None

    # -- writing -----------------------------------------------------------------------------------------------------
    def write(self, views: Sequence[View], maps: Sequence[PointMap], *, label: str = "", evict: bool = True) -> None:
        """Store views with their geometry: all of them, or on any error none.

        :param label: of the commit: a write with the label of the newest commit extends it.
        :param evict: forget what exceeds the bounds; false leaves that to a later write.
        :raises InvalidImageError: a point map does not fit its view.
        """
        if len(views) != len(maps):
            raise InvalidImageError(f"write needs one point map per view, got {len(views)} views and {len(maps)} maps")
        for view, point_map in zip(views, maps, strict=True):
            _check_map(view, point_map)
        if not views:
            return
        written, extends = len(self), self._extends(label)
        try:
            for number, (view, point_map) in enumerate(zip(views, maps, strict=True)):
                self._write_one(view, point_map, label=label, extends=extends or number > 0)
        except BaseException:
            self._truncate(written)
            raise
        if not evict:
            return
        try:
            self._evict(protected=len(views))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # All is written; the next write tries again.
            torch.cuda.empty_cache()

    def undo(self, n: int = 1) -> None:
        """Remove the last ``n`` commits and exactly what they added.

        :raises NothingToUndoError: fewer than ``n`` commits are stored.
        """
        self._truncate(self._store.length_before(n))

    def clear(self) -> None:
        """Forget everything, and give back what it was kept in."""
        self._index = self._new_index()
        self._store = ViewStore()

    def empty_copy(self: _Memory) -> _Memory:
        """Return an empty memory with the same options on the same device."""
        return type(self)(self.config, device=self.device)

    # -- saving ------------------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything as named tensors and JSON-able metadata."""
        tensors, metadata = self._store.state()
        return tensors | self._index.state(), {"views": metadata}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Replace the content by what :meth:`state` returned; on any error the content stays as it was.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        # Whatever can fail, for want of memory say, comes before anything is replaced.
        self._store, self._index = self._restored(tensors, metadata)

    # -- insides -----------------------------------------------------------------------------------------------------
    @staticmethod
    def _standing(point_map: PointMap, seen: Tensor, *, observed: bool) -> Tensor | None:
        """Return which element stands for each point of a map already, or -1: [H, W] int64; ``None``: none for any.

        :param seen: [N] bool: a camera has seen the element.
        :param observed: so is the map: what a camera sees replaces what was only imagined.
        :raises InvalidImageError: the map names elements that this memory does not have.
        """
        shown = point_map.shown
        if shown is None:
            return None
        if shown.shape != point_map.confidence.shape or bool((shown >= len(seen)).any()):
            raise InvalidImageError("the point map shows elements that are not in this memory: read it again")
        if not observed or not len(seen):
            return shown
        return torch.where((shown >= 0) & seen[shown.clamp(min=0)], shown, -1)

    def _restored(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> tuple[ViewStore, Index]:
        """Return the views and the index of what :meth:`state` returned."""
        store = ViewStore.restored(tensors, metadata, self.device)
        return store, self._index.restored(tensors, len(store))

    def _extends(self, label: str) -> bool:
        """Return whether a write with this label extends the newest commit."""
        return self._store.extends(label)

    def _as_shown(self, number: int) -> View:
        """Return a stored view as it is to be referred to."""
        return self._store[number]

    def _is_whole(self, number: int) -> bool:
        """Return whether a stored view may be shown again as it is."""
        return not _is_masked(self._store[number])

    def _hides(self, shown: Projection, number: int) -> Tensor | None:
        """Return [H, W] bool: pixels at the pose of a stored view at which it is not to be shown; ``None``: none."""
        return None

    def _keep(self, views: Tensor) -> None:
        """Keep the views numbered ``views`` [k] int64, ascending, alone."""
        self._index = self._index.kept(views)
        self._store.keep(views)

    def _write_one(self, view: View, point_map: PointMap, *, label: str, extends: bool) -> None:
        # A driver may fill the same buffer with its next frame.
        view = view.copied(self.device)
        point_map = point_map.on(self.device)
        if view.depth is None:
            view = view.having(depth=point_map.depth)
        if view.confidence is None:
            view = view.having(confidence=_alike(view.camera.size, view.source == "observed", self.device))
        self._add(view, point_map)
        self._store.append(view, label=label, extends=extends, exposure=self._exposure(view))

    def _truncate(self, views: int) -> None:
        """Keep the first ``views`` views and what they added."""
        self._index.truncate(views)
        self._store.truncate(views)

    def _evict(self, *, protected: int) -> None:
        """Forget the least useful views while the memory is over its bounds; the last ``protected`` stay."""
        max_views = getattr(self.config, "max_views", None) or len(self)
        while (len(self) > max_views or self._over_bounds()) and len(self) > protected:
            # A tenth more than needed: compaction touches everything, so it should be rare.
            n = max(1, len(self) - max_views + max_views // 10 if len(self) > max_views else len(self) // 10)
            keep = torch.ones(len(self), dtype=torch.bool)
            keep[self._store.least_useful(n, among=len(self) - protected)] = False
            self._keep(keep.nonzero().squeeze(1))


def _check_map(view: View, point_map: PointMap) -> None:
    """Raise :class:`InvalidImageError` unless a point map fits its view."""
    size, shape = view.camera.size, point_map.shape
    if shape != (*size, 3) or tuple(point_map.confidence.shape) != size:
        raise InvalidImageError(
            f"the point map is {list(shape)} with confidence {list(point_map.confidence.shape)}, the view {size} "
            "(height, width)"
        )
    if point_map.camera != view.camera or not torch.equal(point_map.T_world_camera, view.T_world_camera):
        raise InvalidImageError("the point map is of another camera or pose than the view it comes with")


@functools.lru_cache(maxsize=16)
def _alike(size: tuple[int, int], observed: bool, device: torch.device) -> Tensor:
    """Return the confidence [H, W] of a view that a camera took, or that was imagined: one tensor for all of them."""
    return torch.full(size, float(observed), device=device)


def nothing_shown(target: Target, device: torch.device) -> Projection:
    """Return the projection of a memory that shows nothing at a target."""
    size = target.camera.size
    return Projection(
        image=torch.zeros(*size, 3, dtype=torch.uint8, device=device),
        depth=torch.full(size, torch.nan, device=device),
        seen=torch.zeros(size, dtype=torch.bool, device=device),
        ids=torch.full(size, -1, dtype=torch.int64, device=device),
        confidence=torch.zeros(size, device=device),
    )


def _is_masked(view: View) -> bool:
    """Return whether a camera's view has pixels that no camera is to have seen."""
    return view.source == "observed" and view.confidence is not None and bool((view.confidence <= 0).any())


def _as_imagined(view: View, shown: Projection, *, hidden: Tensor | None) -> Projection:
    """Return what is shown at the very pose of a generated view: itself, where no camera saw what is shown.

    So it does along the seams, where it mixes both. What other views imagined in its place since then, and how far
    away, does not matter: this one did not. Where it has no depth, or a camera has proved its depth wrong, it has no
    place in memory: it is shown here and nowhere else.

    :param hidden: [H, W] bool: pixels at which the view is hidden.
    """
    assert view.confidence is not None, "the memory stores the confidence of every view"
    seam = grown(view.confidence <= 0, pixels=BLEND_PX - 1) & (view.confidence > 0)
    own = seam | ~(shown.seen & (shown.confidence > IMAGINED_CONFIDENCE))
    if hidden is not None:
        own &= ~hidden
    return dataclasses.replace(
        shown,
        image=torch.where(own[..., None], view.image, shown.image),
        seen=shown.seen | own,
        confidence=torch.where(own & ~shown.seen, IMAGINED_CONFIDENCE, shown.confidence),
    )


def _itself(view: View, shown: Projection, *, hidden: Tensor | None) -> Projection:
    """Return what is shown at the very pose of an observed view: the view, but for pixels that were masked.

    :param hidden: [H, W] bool: nor pixels at which it is hidden.
    """
    assert view.confidence is not None, "the memory stores the confidence of every view"
    saw = view.confidence > 0
    if hidden is not None:
        saw &= ~hidden
    confidence = confidence_of(view.confidence)
    return dataclasses.replace(
        shown,
        image=torch.where(saw[..., None], view.image, shown.image),
        seen=shown.seen | saw,
        confidence=torch.where(saw, confidence, shown.confidence),
    )
