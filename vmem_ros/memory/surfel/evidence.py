"""What speaks for each surfel and what against it: how many cameras saw it, and how many looked through it.

People walk by, and sensors err. What more cameras looked through than saw it is refuted: it is kept, for it may be
undone, but neither drawn nor met by new surfels. So ghosts fade, while a wall that was seen ten times survives an odd
reading. What was only imagined goes with the first camera that looks through it. What somebody removed is refuted, and
what somebody added is not, whatever cameras see.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_notes as compiled
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.observations import Observations


class Evidence:
    """Counts for and against each surfel; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        #: Which view looked through which surfel.
        self.through = Observations(device)
        self._by_camera = GrowableTensor((), torch.bool, torch.device("cpu"))
        self._balance = GrowableTensor((), torch.int32, device)
        self._refuted = GrowableTensor((), torch.bool, device)
        self._removed = GrowableTensor((), torch.bool, device)
        self._added = GrowableTensor((), torch.bool, device)
        # Views that are in the balance: an addition may fail half-way.
        self._counted = 0

    @property
    def by_camera(self) -> Tensor:
        """[V] bool: a real camera took the view; on the CPU."""
        return self._by_camera.data

    @property
    def refuted(self) -> Tensor:
        """[N] bool: removed, or more cameras looked through it than saw it; valid until the next change."""
        return self._refuted.data

    @property
    def added(self) -> Tensor:
        """[N] bool: somebody added the surfel; valid until the next change."""
        return self._added.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self.through.nbytes + self._by_camera.nbytes + sum(column.nbytes for column in self._columns())

    def append(self, seen: Tensor, through: Tensor, *, by_camera: bool, surfels: int) -> None:
        """Append the next view, which saw the surfels ``seen`` [m] and looked through those of ``through`` [k].

        Both are distinct.

        :param by_camera: a real camera took it. What was only imagined proves nothing.
        :param surfels: how many there are with the new ones.
        """
        self.through.append(through if by_camera else through[:0])
        self._by_camera.append(torch.tensor([by_camera]))
        self._grow(surfels)
        if by_camera:
            self._count(seen, 1)
            self._count(through, -1)
        self._counted += 1

    def edit(self, removed: Tensor, surfels: int) -> None:
        """Take note that the surfels numbered ``removed`` [m] were removed, and those up to so many added."""
        self._removed.data[removed] = True
        self._refuted.data[removed] = True
        before = len(self._balance)
        self._grow(surfels)
        self._added.data[before:] = True

    def take_back(self, removed: Tensor, surfels: int) -> None:
        """Take back an :meth:`edit`, also half of one, before which there were so many surfels."""
        for column in self._columns():
            column.truncate(surfels)
        self._removed.data[removed] = False
        self._count(removed, 0)

    def truncate(self, views: int, surfels: int, observations: Observations) -> None:
        """Keep the first ``views`` views and ``surfels`` surfels.

        :param observations: which view saw which surfel, those of the views that go among them.
        """
        for view in range(views, self._counted):
            if bool(self._by_camera.data[view]):
                for elements, change in ((observations.of(view), -1), (self.through.of(view), 1)):
                    self._count(elements[elements < surfels], change)
        self._counted = min(views, self._counted)
        self.through.truncate(min(views, len(self.through)))
        self._by_camera.truncate(views)
        for column in self._columns():
            column.truncate(surfels)

    def replace(
        self,
        by_camera: Tensor,
        through: Tensor,
        counts: Tensor,
        observations: Observations,
        surfels: int,
        *,
        removed: Tensor,
        added: Tensor,
    ) -> None:
        """Drop everything; view v now looked through the next ``counts[v]`` of ``through``.

        :param by_camera: [V] bool.
        :param observations: which of these views saw which of so many ``surfels``.
        :param removed: [m] numbers of those that were removed by hand, and ``added`` [k] of those that were added.
        """
        self.through.replace(through, counts)
        self._by_camera.replace(by_camera.cpu())
        self._counted = len(by_camera)
        views = by_camera.nonzero().squeeze(1).to(through.device)
        balance = torch.zeros(surfels, dtype=torch.int32, device=through.device)
        for pairs, change in ((observations, 1), (self.through, -1)):
            elements = pairs.of_all(views)[1]
            balance += change * torch.bincount(elements, minlength=surfels).int()
        self._balance.replace(balance)
        for column, marked in ((self._removed, removed), (self._added, added)):
            mask = torch.zeros(surfels, dtype=torch.bool, device=through.device)
            mask[marked] = True
            column.replace(mask)
        self._refuted.replace(((balance < 0) & ~self._added.data) | self._removed.data)

    def _count(self, elements: Tensor, change: int) -> None:
        # Distinct, so no element is written twice.
        if library := usable(elements):
            balance, refuted, removed, added = (column.data for column in self._columns())
            compiled.count_evidence(library, balance, refuted, removed, added, elements, change=change)
            return
        counts = self._balance.data.index_select(0, elements) + change
        self._balance.data[elements] = counts
        lost = (counts < 0) & ~self._added.data.index_select(0, elements)
        self._refuted.data[elements] = lost | self._removed.data.index_select(0, elements)

    def _grow(self, surfels: int) -> None:
        """Make room for so many surfels, of which those that are new have nothing for or against them."""
        fresh = surfels - len(self._balance)
        for column in self._columns():
            column.extend(fresh).zero_()

    def _columns(self) -> tuple[GrowableTensor, ...]:
        return (self._balance, self._refuted, self._removed, self._added)
