"""What most memories share: stored views beside an index of their geometry, written and undone together."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.memory import view_storage
from vmem_ros.memory.view_store import ViewStore
from vmem_ros.types import PointMap, Projection, Target, View

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

    A memory of one's own makes the index (:meth:`_new_index`), adds a view to it (:meth:`_add`), and reads and projects
    from ``self._index`` and ``self._store``. Writing, commits, undo, bounds, saving and finding are here.

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

    def find(self, target: Target) -> View | None:
        """Return the newest stored view with this camera and pose, or ``None``."""
        return self._store.find(target)

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
            if tuple(point_map.points.shape) != (*view.camera.size, 3):
                raise InvalidImageError(
                    f"the point map is {list(point_map.points.shape)}, the view {view.camera.size} (height, width)"
                )
        written, extends = len(self), self._store.extends(label)
        try:
            for number, (view, point_map) in enumerate(zip(views, maps, strict=True)):
                self._write_one(view, point_map, extends=extends or number > 0)
        except BaseException:
            self._truncate(written)
            raise
        self._store.label = label
        if not evict:
            return
        try:
            self._evict(protected=len(views))
        except torch.OutOfMemoryError:
            # All is written; the next write tries again.
            torch.cuda.empty_cache()

    def undo(self, n: int = 1) -> None:
        """Remove the last ``n`` commits and exactly what they added.

        :raises NothingToUndoError: fewer than ``n`` commits are stored.
        """
        self._truncate(self._store.length_before(n))
        self._store.label = ""

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
        store = ViewStore.restored(tensors, metadata, self.device)
        index = self._index.restored(tensors, len(store))
        # Whatever can fail, for want of memory say, is behind us.
        self._store, self._index = store, index

    # -- insides -----------------------------------------------------------------------------------------------------
    def _write_one(self, view: View, point_map: PointMap, *, extends: bool) -> None:
        view, point_map = view_storage.to_device(view, self.device), view_storage.to_device(point_map, self.device)
        if view.depth is None:
            view = dataclasses.replace(view, depth=point_map.depth.contiguous())
        if view.confidence is None:
            seen = torch.full(view.camera.size, float(view.source == "observed"), device=self.device)
            view = dataclasses.replace(view, confidence=seen)
        self._add(view, point_map)
        self._store.append(view, extends=extends)

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
            kept = keep.nonzero().squeeze(1)
            self._index = self._index.kept(kept)
            self._store.keep(kept)


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
