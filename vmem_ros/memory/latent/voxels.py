"""Voxels of one size, and which view saw which: how much two looks at the world overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.hash_table import HashTable
from vmem_ros.memory.latent.cells import pack, unpack
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.sparse_weights import SparseWeights


class Voxels:
    """Voxels by number, in the order in which they were first seen; views by number, as they were appended.

    :param side: of a voxel in metres.
    """

    def __init__(self, device: torch.device, side: float) -> None:
        self.side = side
        self._device = device
        self._key = GrowableTensor((), torch.int64, device)
        self._table = HashTable(device)
        #: Which view saw which voxel.
        self.seen = Observations(device)
        self._reach = Reach(device)
        self._weights = SparseWeights(device)

    def __len__(self) -> int:
        return len(self._key)

    @property
    def keys(self) -> Tensor:
        """[N] int64, see :func:`~vmem_ros.memory.latent.cells.pack`."""
        return self._key.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(each.nbytes for each in (self._key, self._table, self.seen, self._reach, self._weights))

    def numbers(self, position: Tensor) -> Tensor:
        """Return the voxel in which each point [n, 3] lies: [n] int64. New ones get numbers."""
        cells, inverse = pack(torch.floor(position.double() / self.side).long()).unique(return_inverse=True)
        slot = self._table.find(cells)
        number = torch.where(slot >= 0, self._table.rows.index_select(0, slot.clamp(min=0)).long(), -1)
        new = (number < 0).nonzero().squeeze(1)
        n = len(self)
        self._key.append(cells.index_select(0, new))
        number[new] = torch.arange(n, n + len(new), device=self._device)
        # A claim may replace the rows: claim first.
        slot = self._table.claim(cells.index_select(0, new))
        self._table.rows[slot] = number.index_select(0, new).int()
        return number.index_select(0, inverse)

    def append(self, voxels: Tensor) -> None:
        """Append the next view, which saw the distinct ``voxels`` [m] int64."""
        self.seen.append(voxels)
        self._reach.append(self._centres(voxels))

    def truncate(self, views: int, voxels: int) -> None:
        """Keep the first ``views`` views and the first ``voxels`` voxels."""
        slot = self._table.find(self._key.data[voxels:])
        slot = slot[slot >= 0]
        rows = self._table.rows[slot]
        self._table.rows[slot] = torch.where(rows >= voxels, -1, rows)
        self._key.truncate(voxels)
        self.seen.truncate(views)
        self._reach.truncate(views)

    def replace(self, keys: Tensor, voxels: Tensor, counts: Tensor) -> None:
        """Drop everything; there are voxels with ``keys`` [N], and view v saw the next ``counts[v]`` of ``voxels``."""
        self._key.replace(keys)
        self._table = HashTable(self._device)
        slot = self._table.claim(keys)
        self._table.rows[slot] = torch.arange(len(keys), device=self._device).int()
        self.seen.replace(voxels, counts)
        row, voxel = self.seen.of_all(torch.arange(len(counts), device=self._device))
        self._reach.replace(row, self._centres(voxel), len(counts))

    def votes(self, voxels: Tensor, weight: Tensor | int = 1, *, without: Sequence[int] = ()) -> Tensor:
        """Return the weight of the distinct ``voxels`` [m] int64 that each view saw: [V] int64; of many, an estimate.

        :param weight: of each, [m] int64, or of all.
        :param without: views: what they saw has no weight.
        """
        table = self._weights.spread(voxels, weight, len(self))
        for view in without:
            table[self.seen.of(view)] = 0
        votes = torch.zeros(len(self.seen), dtype=torch.int64, device=self._device)
        near = self._reach.near(self._centres(voxels))
        votes[near] = self.seen.sums(table, near)
        return votes

    def overlap(self, voxels: Tensor) -> tuple[Tensor, Tensor]:
        """Return intersection over union [V] float64 of the distinct ``voxels`` [m] with those that each view saw, and
        how many both have [V] int64."""
        shared = self.votes(voxels)
        union = len(voxels) + self.seen.offsets.diff() - shared
        return shared.double() / union.clamp(min=1).double(), shared

    def _centres(self, voxels: Tensor) -> Tensor:
        return ((unpack(self._key.data.index_select(0, voxels)).double() + 0.5) * self.side).float()
