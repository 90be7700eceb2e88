"""What edits did to the elements of a memory: which they removed, and which they added. Edits lie between views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.memory import view_storage
from vmem_ros.memory.observations import Observations


class EditLog:
    """Edits in their order.

    Elements are numbered in the order in which they came: those of an edit follow those of the views before it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        #: Which elements each edit removed.
        self._removed = Observations(device)
        #: How many it added, and how many views there were.
        self._added: list[int] = []
        self._views: list[int] = []

    def __len__(self) -> int:
        return len(self._views)

    @property
    def views(self) -> Sequence[int]:
        """How many views there were at each edit; ascending."""
        return tuple(self._views)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._removed.nbytes

    @property
    def any_added(self) -> bool:
        """Whether an edit added anything."""
        return any(self._added)

    @property
    def total_added(self) -> int:
        """How many elements edits added."""
        return sum(self._added)

    @property
    def last_added(self) -> int:
        """How many views there were when something was added last."""
        return max((views for views, added in zip(self._views, self._added, strict=True) if added), default=0)

    def removed(self, edit: int) -> Tensor:
        """Return the elements [n] int64 that an edit removed."""
        return self._removed.of(edit)

    def added(self, edit: int) -> int:
        """Return how many elements an edit added."""
        return self._added[edit]

    @property
    def all_removed(self) -> Tensor:
        """[n] int64: every element that is removed."""
        return self._removed.elements.long()

    def all_added(self, born: Sequence[int]) -> Tensor:
        """Return every element [n] int64 that was added by hand.

        :param born: number of elements before each view, and after the last.
        """
        ranges, end = [], dict(enumerate(born))
        for views, added in zip(reversed(self._views), reversed(self._added), strict=True):
            ranges.append(torch.arange(end[views] - added, end[views], device=self._device))
            end[views] -= added
        return torch.cat([torch.empty(0, dtype=torch.int64, device=self._device), *reversed(ranges)])

    def append(self, views: int, removed: Tensor, added: int) -> None:
        """Append an edit after so many views: elements ``removed`` [n] int64, and how many it added."""
        self._removed.append(removed)
        self._added.append(added)
        self._views.append(views)

    def pop(self) -> None:
        """Forget the last edit."""
        self._removed.truncate(len(self) - 1)
        del self._added[-1], self._views[-1]

    def trim(self) -> None:
        """Forget what an addition that failed half-way has left."""
        self._removed.truncate(len(self))

    def order_of_kept(
        self, views: Tensor, row: Tensor, element: Tensor, born: Sequence[int]
    ) -> tuple[Tensor, list[int]]:
        """Return which elements stay if only some views are kept, in their new order [n], and the new ``born``.

        An element belongs to the oldest view left that saw it; those that nobody saw go, but for what was added by
        hand.

        :param views: numbers [k] int64 of the views that are kept, ascending.
        :param row: [p] int64 into them, of each pair with an ``element`` [p] int64 that the view saw.
        :param born: number of elements before each view, and after the last.
        """
        k, n = len(views), born[-1]
        # Edits before view i have the place 2 i, the view itself 2 i + 1.
        place = torch.full((n,), 2 * k + 1, dtype=torch.int64, device=self._device)
        place.scatter_reduce_(0, element, 2 * row + 1, "amin")
        before = [int((views < each).sum()) for each in self._views]
        added = torch.tensor(self._added, dtype=torch.int64, device=self._device)
        places = torch.tensor(before, dtype=torch.int64, device=self._device).repeat_interleave(added)
        place[self.all_added(born)] = 2 * places
        order = torch.argsort(place, stable=True)[: int((place <= 2 * k).sum())]
        until = torch.bincount(place[order], minlength=2 * k + 1).cumsum(0)
        return order, until[::2].tolist()

    def kept(self, views: Tensor, number: Tensor) -> EditLog:
        """Return the log of a memory that keeps only some views.

        :param views: numbers [k] int64 of the views that are kept, ascending.
        :param number: [N] int64 new number of each element; -1: it is gone. Elements added by hand stay.
        """
        log = EditLog(self._device)
        for edit, (before, added) in enumerate(zip(self._views, self._added, strict=True)):
            left = number[self.removed(edit)]
            log.append(int((views < before).sum()), left[left >= 0], added)
        return log

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        return {
            "edits/removed": self._removed.elements,
            "edits/offset": self._removed.offsets,
            "edits/added": torch.tensor(self._added, dtype=torch.int64),
            "edits/views": torch.tensor(self._views, dtype=torch.int64),
        }

    def restored(self, tensors: Mapping[str, Tensor], born: Sequence[int]) -> EditLog:
        """Return a log with what :meth:`state` returned; files from before there were edits have none.

        :param born: number of elements before each view, and after the last; ascending.
        :raises WorldFileError: missing or inconsistent entries.
        """
        log, mine = EditLog(self._device), EditLog(self._device).state()
        if not mine.keys() & tensors.keys():
            _check_first(born, 0)
            return log
        removed, offset, added, views = (view_storage.take(tensors, name, like=mine[name]) for name in mine)
        _check(removed, offset, added, views, born)
        log._removed.replace(removed.to(self._device), offset.diff().to(self._device))
        log._added, log._views = added.tolist(), views.tolist()
        return log


def _check(removed: Tensor, offset: Tensor, added: Tensor, views: Tensor, born: Sequence[int]) -> None:
    """Raise :class:`WorldFileError` unless edits fit each other and the elements before each view, ``born``."""
    edits = len(views)
    wrong = (
        len(added) != edits
        or len(offset) != edits + 1
        or int(offset[0]) != 0
        or int(offset[-1]) != len(removed)
        or bool((offset.diff() < 0).any())
        or bool((added < 0).any())
        or bool(((views < 0) | (views >= len(born))).any())
        or bool((views.diff() < 0).any())
        or len(removed.unique()) != len(removed)
        or bool((removed < 0).any())
    )
    if not wrong:
        # What an edit removes was there, and what edits add came after the elements of the views before.
        end = torch.tensor(born)
        before = torch.nn.functional.pad(end, (1, 0))[:-1]
        later = [0] * len(born)
        for number, more in zip(reversed(views.tolist()), reversed(added.tolist()), strict=True):
            later[number] += more
        _check_first(born, later[0])
        wrong = bool((end - torch.tensor(later) < before).any()) or bool(
            (removed >= end[views].repeat_interleave(offset.diff())).any()
        )
    if wrong:
        raise WorldFileError("the world file is inconsistent: its edits do not fit its elements")


def _check_first(born: Sequence[int], added: int) -> None:
    """Raise :class:`WorldFileError` unless what is there before the first view was added by hand: so many elements."""
    if born[0] != added:
        raise WorldFileError("the world file is inconsistent: element counts per view do not add up")
