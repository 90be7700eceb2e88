"""Which cells of space have a sample already, and samples of which size: what is not sampled twice.

A sample takes the cell of its own size, and the larger ones around that: a look from afar finds that a nearer look was
there before, and a nearer look finds nothing as fine as itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.memory.hash_table import HashTable
from vmem_ros.memory.latent.cells import HIGHEST_LEVEL, cells_at, pack

# So many times twice as large are the cells that a sample takes beside its own.
_LARGER = 4
_NOTHING = torch.iinfo(torch.int32).max


class Occupied:
    """The first sample of each cell: of those that cameras saw, and of those that were imagined."""

    def __init__(self, device: torch.device) -> None:
        self._table = HashTable(device, (2,))
        corners = torch.tensor([0, 1], device=device)
        self._octants = torch.cartesian_prod(corners, corners, corners)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._table.nbytes

    def seen_at(self, position: Tensor, level: Tensor) -> Tensor:
        """Return [n] bool: a camera saw something as fine in the cells of points [n, 3], of a level [n] int64."""
        slot = self._table.find(pack(torch.floor(cells_at(position, level)).long(), level))
        return (slot >= 0) & (self._table.rows.index_select(0, slot.clamp(min=0))[:, 0] >= 0)

    def near(self, position: Tensor, level: Tensor) -> Tensor:
        """Return the oldest samples as fine in the eight cells around the corner nearest to each of points [n, 3].

        :return: [n, 2] int64, of those that a camera saw and those that were imagined; -1 where there is none.
        """
        corner = torch.floor(cells_at(position, level) - 0.5).long()
        slot = self._table.find(pack(corner[:, None] + self._octants, level[:, None]).flatten())
        rows = self._table.rows.index_select(0, slot.clamp(min=0))
        found = torch.where((slot[:, None] >= 0) & (rows >= 0), rows, _NOTHING)
        oldest = found.view(-1, len(self._octants), 2).amin(dim=1).long()
        return torch.where(oldest == _NOTHING, -1, oldest)

    def take(self, position: Tensor, level: Tensor, observed: Tensor, first: int) -> None:
        """Note samples [n, 3] of a level [n] and kind [n] bool, numbered ``first`` and up."""
        number = torch.arange(first, first + len(level), device=level.device)
        for larger in range(_LARGER + 1):
            at = (level + larger).clamp(max=HIGHEST_LEVEL)
            key = pack(torch.floor(cells_at(position, at)).long(), at)
            for kind, mine in enumerate((observed, ~observed)):
                index = mine.nonzero().squeeze(1)
                cells, inverse = key.index_select(0, index).unique(return_inverse=True)
                oldest = torch.full_like(cells, first + len(level))
                oldest.scatter_reduce_(0, inverse, number.index_select(0, index), "amin")
                slot = self._table.claim(cells)
                before = self._table.rows[slot, kind]
                self._table.rows[slot, kind] = torch.where(before >= 0, before, oldest.int())

    def give_back(self, position: Tensor, level: Tensor, first: int) -> None:
        """Forget the samples numbered ``first`` and up, which are the newest: points [n, 3] of levels [n]."""
        for larger in range(_LARGER + 1):
            at = (level + larger).clamp(max=HIGHEST_LEVEL)
            slot = self._table.find(pack(torch.floor(cells_at(position, at)).long(), at).unique())
            # A write that failed half-way may have stored some that were never noted.
            slot = slot[slot >= 0]
            rows = self._table.rows[slot]
            self._table.rows[slot] = torch.where(rows >= first, -1, rows)


def first_of_each(position: Tensor, level: Tensor) -> Tensor:
    """Return the numbers [m] int64, ascending, of the first of the points [n, 3] in each cell of their level [n]."""
    key = pack(torch.floor(cells_at(position, level)).long(), level)
    cells, inverse = key.unique(return_inverse=True)
    first = torch.full_like(cells, len(key))
    first.scatter_reduce_(0, inverse, torch.arange(len(key), device=key.device), "amin")
    return first.sort().values
