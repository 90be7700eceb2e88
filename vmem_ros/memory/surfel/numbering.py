"""Numbers for the few surfels that a picture shows, at a cost that does not depend on how many there are in all."""

from __future__ import annotations

import torch
from torch import Tensor


class Numbering:
    """Numbers the distinct surfels of one picture after the other from 0: a sparse set.

    A table with an entry per surfel says which number a surfel has. It is never cleared: an entry counts only if the
    surfel with that number is the one that asks.
    """

    def __init__(self, device: torch.device) -> None:
        self._table = torch.zeros(0, dtype=torch.int64, device=device)
        #: [m] int64: the surfels that are numbered, ascending; their place is their number.
        self.surfels = self._table

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._table.nbytes

    def renew(self, ids: Tensor, n_surfels: int) -> None:
        """Number the surfels among ``ids`` [p] int64, where -1 is none, of ``n_surfels``; forget the ones before."""
        if len(self._table) < n_surfels:
            self._table = self._table.new_zeros(2 * n_surfels)
        shown = ids.index_select(0, (ids >= 0).nonzero().squeeze(1))
        # Every pixel signs in; for each surfel one signature stays.
        signature = torch.arange(len(shown), device=shown.device)
        self._table[shown] = signature
        once = (self._table.index_select(0, shown) == signature).nonzero().squeeze(1)
        self.surfels = shown.index_select(0, once).sort().values
        self._table[self.surfels] = torch.arange(len(self.surfels), device=shown.device)

    def of(self, ids: Tensor) -> Tensor:
        """Return the numbers [p] int64 of surfels ``ids`` [p]; -1 for those without one, and for -1."""
        if not len(self.surfels):
            return torch.full_like(ids, -1)
        number = self._table.index_select(0, ids.clamp(min=0)).clamp_(max=len(self.surfels) - 1)
        return torch.where(self.surfels.index_select(0, number) == ids, number, -1)
