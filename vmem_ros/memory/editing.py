"""Editing of memories that keep views beside an index: places are emptied and clouds added, undoable like a commit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from vmem_ros.edits import Edit, Edited, Region, pixels_in
from vmem_ros.errors import InvalidEditError, NothingToUndoError, NotSeededError
from vmem_ros.memory.edit_log import EditLog
from vmem_ros.memory.region_search import views_that_may_see
from vmem_ros.memory.small_holes import close_small_holes
from vmem_ros.memory.view_changes import ViewChanges, depth_and_confidence, with_pixels, without_pixels
from vmem_ros.memory.view_memory import GeometryIndex, ViewMemory
from vmem_ros.types import Elements, Projection, Target, View

# Depths of one surface differ at most so much, relative.
_ON_SURFACE = 0.02
# Elements that were added reach so far beyond the places of the outermost.
_WIDTH_M = 1.0


class EditableIndex(GeometryIndex, Protocol):
    """An index whose elements can be removed, and to which some can be added that no view saw.

    Removed elements are neither shown nor met by later views; they count when elements are numbered.
    """

    @property
    def edits(self) -> EditLog:
        """What was edited; it is part of :meth:`state`."""
        ...

    @property
    def added(self) -> Tensor:
        """[N] bool: elements that were added by an edit; valid until the next change."""
        ...

    @property
    def added_places(self) -> Tensor:
        """[k, 3] float64: where in the world the elements are that were added by an edit and not removed."""
        ...

    def inside(self, regions: Sequence[Region]) -> Tensor:
        """Return the elements, not removed yet, that lie in one of the regions: [n] int64."""
        ...

    def edit(self, removed: Tensor, cloud: Elements | None) -> int:
        """Remove some elements [n] int64, then add a cloud; return how many elements it became. All or nothing."""
        ...

    def take_back(self) -> None:
        """Undo the last edit bit by bit; no view was added since."""
        ...


EIndex = TypeVar("EIndex", bound=EditableIndex)


class EditableViewMemory(ViewMemory[EIndex]):
    """A :class:`ViewMemory` that can be edited; see :class:`vmem_ros.protocols.Editable`.

    What is removed goes from the index, and its pixels from every stored view: their depth becomes unknown, no camera
    saw them, and their colours are those around. What is added stands in the index, belongs to no view, and is shown in
    front of whatever views saw behind it. The cost is that of the views that look there.
    """

    @abstractmethod
    def _new_index(self) -> EIndex: ...

    @property
    def commits(self) -> Sequence[int]:
        """Number of views of each commit, oldest first; an edit has none."""
        out, views, edits = [], 0, list(self._index.edits.views)
        for count in super().commits:
            while edits and edits[0] <= views:
                out.append(0)
                del edits[0]
            out.append(count)
            views += count
        return (*out, *(0 for _ in edits))

    @property
    def nbytes(self) -> int:
        """Bytes held by views, index, and what edits took from them."""
        return super().nbytes + self._changes.nbytes

    def clear(self) -> None:
        """Forget everything, and give back what it was kept in."""
        super().clear()
        self._changes = ViewChanges()

    def edit(self, edit: Edit) -> Edited:
        """Remove what is remembered in some regions, and add a cloud: one commit. On any error nothing changes.

        :raises NotSeededError: nothing is stored yet.
        :raises InvalidEditError: there is nothing to remove in the regions, and nothing to add.
        """
        if not len(self):
            raise NotSeededError("there is nothing to edit: the memory is empty")
        removed = self._index.inside(edit.remove)
        found = [without_pixels(i, self._store[i], gone) for i, gone in self._showing(edit.remove)]
        if not len(removed) and not found and edit.add is None:
            raise InvalidEditError(
                "nothing that is remembered lies there, and nothing has changed: check the frame, the place and the "
                "units (metres)"
            )
        before = {change.view: self._store[change.view] for _, change in found}
        added = self._index.edit(removed, edit.add)
        try:
            for view, change in found:
                self._store.replace(change.view, view)
            self._changes.append([change for _, change in found])
        except BaseException:
            for number, old in before.items():
                self._store.replace(number, old)
            self._index.take_back()
            raise
        return Edited(len(removed), added, len(found), sum(len(change.pixel) for _, change in found))

    def undo(self, n: int = 1) -> None:
        """Take back the last ``n`` commits and exactly what they changed.

        :raises NothingToUndoError: fewer than ``n`` commits are stored.
        """
        commits = self.commits
        if n < 1 or n > len(commits):
            raise NothingToUndoError(f"cannot undo {n} commits: {len(commits)} are stored")
        for views in reversed(commits[-n:]):
            if views:
                self._truncate(len(self) - views)
            else:
                self._take_back_edit()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything as named tensors and JSON-able metadata."""
        tensors, metadata = super().state()
        return tensors | self._changes.state(), metadata

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Replace the content by what :meth:`state` returned; on any error the content stays as it was.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        store, index = self._restored(tensors, metadata)
        changes = ViewChanges.restored(tensors, store.views, index.edits.views)
        store.check_boundaries(index.edits.views)
        self._store, self._index, self._changes = store, index, changes

    # -- insides -----------------------------------------------------------------------------------------------------
    def _showing(self, regions: Sequence[Region]) -> list[tuple[int, Tensor]]:
        """Return the views that show something in one of the regions, and which of their pixels [H, W] bool."""
        if not regions:
            return []
        cameras = [view.camera for view in self._store.views]
        asked = torch.cat([views_that_may_see(cameras, self._store.poses, *region.bound) for region in regions])
        every = ((i, pixels_in(self._with_depth(self._store[i]), tuple(regions))) for i in asked.unique().tolist())
        return [(i, gone) for i, gone in every if bool(gone.any())]

    def _with_depth(self, view: View) -> View:
        """Return a view; one without any depth with that of what the memory shows there."""
        if view.depth is not None and bool((~view.depth.isnan()).any()):
            return view
        return view.having(depth=self._project(_without_skew(view)).depth)

    def _take_back_edit(self) -> None:
        for change in self._changes.of(len(self._changes) - 1):
            self._store.replace(change.view, with_pixels(self._store[change.view], change))
        self._changes.pop()
        self._index.take_back()

    def _extends(self, label: str) -> bool:
        edited = len(self) in self._index.edits.views[-1:]
        return not edited and super()._extends(label)

    def _keep(self, views: Tensor) -> None:
        super()._keep(views)
        self._changes = self._changes.kept(views)

    def _is_whole(self, number: int) -> bool:
        """Return whether a stored view may be shown again as it is: not if edits changed what is there."""
        if not super()._is_whole(number) or self._changes.touched(number):
            return False
        return not len(self._index.edits) or self._as_shown(number) is self._store[number]

    def _hides(self, shown: Projection, number: int) -> Tensor | None:
        """Return [H, W] bool: pixels at the pose of a view where something that was added is in front of it.

        Also on the very surface that the view shows: it is not what was seen there. Of a generated view, what was
        removed from it is hidden, too; of a camera's view that is what it did not see.
        """
        if not len(self._index.edits):
            return None
        view = self._store[number]
        hidden = self._in_front(shown, view, nearest=1 - _ON_SURFACE)
        if view.source == "generated" and self._changes.touched(number):
            hidden |= depth_and_confidence(view)[0].isnan()
        return hidden

    def _in_front(self, shown: Projection, view: View, *, nearest: float) -> Tensor:
        """Return [H, W] bool: pixels with something added, where a view's depth is unknown or ``nearest`` times its own
        depth at least."""
        depth, _ = depth_and_confidence(view)
        return self._are_added(shown.ids) & shown.seen & ~(depth < nearest * shown.depth)

    def _may_show_added(self, view: View) -> bool:
        """Return whether something that was added may be in the picture of a view."""
        if not self._index.edits.any_added or not len(places := self._index.added_places.cpu()):
            return False
        low, high = places.amin(dim=0), places.amax(dim=0)
        # Elements are wider than points.
        radius = float(torch.linalg.vector_norm(high - low)) / 2 + _WIDTH_M
        return len(views_that_may_see([view.camera], view.T_world_camera[None], (low + high) / 2, radius)) > 0

    def _are_added(self, ids: Tensor) -> Tensor:
        """Return which of the elements ``ids`` [...] int64, where -1 is none, were added by an edit: [...] bool."""
        if not self._index.edits.any_added:
            return torch.zeros_like(ids, dtype=torch.bool)
        return (ids >= 0) & self._index.added[ids.clamp(min=0)]

    def _as_shown(self, number: int) -> View:
        """Return a stored view as a camera would see it now: with what was added, and without what was removed."""
        view = self._store[number]
        touched, added = self._changes.touched(number), self._may_show_added(view)
        if not touched and not added:
            return view
        shown = close_small_holes(self._project(_without_skew(view)), view.camera)
        instead = torch.zeros_like(shown.seen)
        if touched:
            depth, confidence = depth_and_confidence(view)
            instead |= shown.seen & depth.isnan() & (confidence <= 0)
        if added:
            # Views that were drawn later show it themselves, as far away as it is.
            knew = view.source == "generated" and number >= self._index.edits.last_added
            instead |= self._in_front(shown, view, nearest=1 + _ON_SURFACE if knew else 1 - _ON_SURFACE)
        if not bool(instead.any()):
            return view
        image = torch.where(instead[..., None], shown.image, view.image)
        return view.having(image=image, latent=None, embedding=None)


def _without_skew(view: View) -> Target:
    return Target(view.camera.without_skew(), view.T_world_camera)
