"""A weight for each of many elements, most of them 0, at a cost that does not depend on how many there are in all."""

from __future__ import annotations

import torch
from torch import Tensor


class SparseWeights:
    """A table of weights that is used again: only what was set is cleared."""

    def __init__(self, device: torch.device) -> None:
        self._table = torch.zeros(0, dtype=torch.int64, device=device)
        self._set = torch.zeros(0, dtype=torch.int64, device=device)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._table.nbytes

    def spread(self, elements: Tensor, weight: Tensor | int, length: int) -> Tensor:
        """Return [length] int64 with ``weight`` at ``elements`` [m] int64, else 0; valid until the next call."""
        if len(self._table) < length:
            self._table = self._table.new_zeros(2 * length)
        else:
            self._table[self._set] = 0
        self._table[elements] = weight
        self._set = elements
        return self._table[:length]
