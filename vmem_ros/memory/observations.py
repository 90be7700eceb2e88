"""Which view saw which element of a memory, as a list of pairs.

Views are written one after the other, so the pairs lie sorted by view and a view's share is a slice. Votes are sums
over an even sample of each slice, in integers: the order of addition cannot change which view wins, on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_notes as compiled
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.ragged import items_of

# Pairs that are looked at to count the votes of all views together, and of one view. A few hundred elements of a view
# tell its share within a few per cent; the total bounds the work however many views saw the same room.
_SAMPLED_PAIRS = 1 << 17
_SAMPLED_PER_VIEW = (32, 512)


def distinct(found: Tensor, others: Tensor | None, first: int, end: int) -> Tensor:
    """Return the distinct elements among ``found`` [n] int64, where -1 is none, and ``others`` [m], ascending.

    Behind them come ``first``, ``first + 1``, ... up to ``end``, which are higher.
    """
    if library := usable(found):
        return compiled.distinct(library, found, others, first, end)
    met = found[found >= 0]
    met = met if others is None else torch.cat([met, others])
    return torch.cat([met.unique(), torch.arange(first, end, device=found.device)])


class Observations:
    """Pairs (view, element), grouped by view; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._element = GrowableTensor((), torch.int32, device)
        self._offset = GrowableTensor((), torch.int64, device)
        self._offset.append(torch.zeros(1, dtype=torch.int64, device=device))

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._offset) - 1

    @property
    def elements(self) -> Tensor:
        """[P] int32 element of each pair."""
        return self._element.data

    @property
    def offsets(self) -> Tensor:
        """[V + 1] int64: view v saw ``elements[offsets[v] : offsets[v + 1]]``."""
        return self._offset.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._element.nbytes + self._offset.nbytes

    def append(self, elements: Tensor) -> None:
        """Append the next view, which saw the distinct ``elements`` [m]."""
        self._element.append(elements.int())
        self._offset.append(self._offset.data[-1:] + len(elements))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views."""
        self._element.truncate(int(self._offset.data[views]))
        self._offset.truncate(views + 1)

    def replace(self, elements: Tensor, counts: Tensor) -> None:
        """Drop everything; view v now saw the next ``counts[v]`` of ``elements``."""
        self._element.replace(elements.int())
        self._offset.replace(torch.nn.functional.pad(counts.long().cumsum(0), (1, 0)))

    def of(self, view: int) -> Tensor:
        """Return the elements that one view saw: [m] int64."""
        return self.elements[int(self.offsets[view]) : int(self.offsets[view + 1])].long()

    def of_all(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs of some views [C]: (row into ``views`` [p] int64, element [p] int64)."""
        start, counts = self.offsets[views], self.offsets[views + 1] - self.offsets[views]
        row, within = items_of(counts)
        return row, self.elements[start[row] + within].long()

    def sums(self, weight: Tensor, views: Tensor) -> Tensor:
        """Return for each of ``views`` [C] the sum of ``weight`` [N] int64 over the elements it saw: [C] int64.

        Estimated from elements spread evenly over the view (all of them, where a view saw few).
        """
        if not len(views) or not len(self.elements):
            return torch.zeros(len(views), dtype=torch.int64, device=self._device)
        fewest, most = _SAMPLED_PER_VIEW
        sampled = max(fewest, min(most, _SAMPLED_PAIRS // len(views)))
        if library := usable(weight):
            return compiled.sum_votes(library, self.elements, self.offsets, weight, views, sampled)
        start, counts = self.offsets[views], self.offsets[views + 1] - self.offsets[views]
        step = torch.arange(sampled, device=self._device)
        # With fewer pairs than samples each pair is taken once and the remaining samples count nothing.
        within = torch.where(counts[:, None] > sampled, step * counts[:, None] // sampled, step)
        pair = (start[:, None] + within).clamp_(max=len(self.elements) - 1)
        votes = torch.where(within < counts[:, None], weight[self.elements[pair].long()], 0).sum(dim=1)
        return votes * counts // counts.clamp(min=1, max=sampled)
