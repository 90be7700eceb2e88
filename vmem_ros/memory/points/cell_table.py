"""Which voxel each cell of the grid has: one of what cameras saw, and one of what was imagined.

Voxels that somebody added or removed are in no cell: views neither change them nor leave anything out because of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.memory.hash_table import HashTable
from vmem_ros.memory.points.grid import pack
from vmem_ros.memory.points.voxels import Voxels, VoxelStore

_NOTHING = torch.iinfo(torch.int32).max


class CellTable:
    """Numbers of voxels by their keys.

    :param store: of the voxels.
    """

    def __init__(self, device: torch.device, store: VoxelStore) -> None:
        self._store = store
        #: Number of the observed and of the imagined voxel of each cell.
        self._table = HashTable(device, (2,))
        corners = torch.tensor([0, 1], device=device)
        self._octants = torch.cartesian_prod(corners, corners, corners)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._table.nbytes

    def claim(self, key: Tensor) -> None:
        """Make room for the distinct keys [n]."""
        self._table.claim(key)

    def enter(self, index: Tensor, *, to: int | None = None) -> None:
        """Enter the voxels ``index`` [n] int64, whose cells are claimed, but for those that were added.

        :param to: enter this number instead of theirs; -1: take them out.
        """
        index = index[~self._store.added[index]]
        key, observed = (getattr(self._store.voxels, name).index_select(0, index) for name in ("key", "observed"))
        rows = index.int() if to is None else torch.full_like(index, to).int()
        self._table.rows[self._table.find(key), (~observed).long()] = rows

    def at(self, key: Tensor, *, imagined: int) -> Tensor:
        """Return the observed voxel (0) or the imagined one (1) at each key [n], or -1: [n] int64."""
        slot = self._table.find(key)
        rows = self._table.rows[:, imagined].index_select(0, slot.clamp(min=0)).long()
        return torch.where(slot >= 0, rows, -1)

    def near(self, new: Voxels) -> Tensor:
        """Return the oldest voxel in the eight cells around the corner of each that is nearest to its mean, or -1."""
        corner = torch.floor(new.places - 0.5).long()
        slot = self._table.find(pack(corner[:, None] + self._octants).flatten())
        found = torch.where(slot[:, None] >= 0, self._table.rows.index_select(0, slot.clamp(min=0)), -1)
        oldest = torch.where(found >= 0, found, _NOTHING).view(-1, found.shape[1] * len(self._octants)).amin(dim=1)
        return torch.where(oldest == _NOTHING, -1, oldest).long()

    def forget(self, index: Tensor) -> None:
        """Take out the voxels numbered ``index`` [n] int64, the newest."""
        if not len(index):
            return
        newest = self._store.voxels.select(index)
        kind = (~newest.observed).long()
        slot = self._table.find(newest.key)
        found = (slot >= 0).nonzero().squeeze(1)
        slot, kind = slot[found], kind[found]
        # A write that failed half-way may have stored some that were never entered.
        mine = self._table.rows[slot, kind] >= int(index[0])
        self._table.rows[slot[mine], kind[mine]] = -1
