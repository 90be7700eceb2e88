"""Numbers for the few elements that a picture shows, at a cost that does not depend on how many there are in all."""

from __future__ import annotations

import torch
from torch import Tensor


class Numbering:
    """Numbers the distinct elements of one picture after the other from 0: a sparse set.

    A table with an entry per element says which number it has. It is never cleared: an entry counts only if the
    element with that number is the one that asks.
    """

    def __init__(self, device: torch.device) -> None:
        self._table = torch.zeros(0, dtype=torch.int64, device=device)
        #: [m] int64: the elements that are numbered, ascending; their place is their number.
        self.elements = self._table

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._table.nbytes

    def renew(self, ids: Tensor, n_elements: int) -> None:
        """Number the elements among ``ids`` [p] int64, where -1 is none, of ``n_elements``; forget the ones before."""
        if len(self._table) < n_elements:
            self._table = self._table.new_zeros(2 * n_elements)
        shown = ids.index_select(0, (ids >= 0).nonzero().squeeze(1))
        # Every pixel signs in; for each element one signature stays.
        signature = torch.arange(len(shown), device=shown.device)
        self._table[shown] = signature
        once = (self._table.index_select(0, shown) == signature).nonzero().squeeze(1)
        self.elements = shown.index_select(0, once).sort().values
        self._table[self.elements] = torch.arange(len(self.elements), device=shown.device)

    def of(self, ids: Tensor) -> Tensor:
        """Return the numbers [p] int64 of elements ``ids`` [p]; -1 for those without one, and for -1."""
        if not len(self.elements):
            return torch.full_like(ids, -1)
        number = self._table.index_select(0, ids.clamp(min=0)).clamp_(max=len(self.elements) - 1)
        return torch.where(self.elements.index_select(0, number) == ids, number, -1)
