"""Which view saw which surfel, as a list of pairs.

Views are written one after the other, so the pairs lie sorted by view and a view's share is a slice. Votes are sums
over slices, in integers: the order of addition cannot change which view wins, on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.memory.growable import GrowableTensor


class Observations:
    """Pairs (view, surfel), grouped by view; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._surfel = GrowableTensor((), torch.int32, device)
        self._offset = GrowableTensor((), torch.int64, device)
        self._offset.append(torch.zeros(1, dtype=torch.int64, device=device))

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._offset) - 1

    @property
    def surfels(self) -> Tensor:
        """[P] int32 surfel of each pair."""
        return self._surfel.data

    @property
    def offsets(self) -> Tensor:
        """[V + 1] int64: view v saw ``surfels[offsets[v] : offsets[v + 1]]``."""
        return self._offset.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._surfel.nbytes + self._offset.nbytes

    def append(self, surfels: Tensor) -> None:
        """Append the next view, which saw the distinct ``surfels`` [m]."""
        self._surfel.append(surfels.int())
        self._offset.append(self._offset.data[-1:] + len(surfels))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views."""
        self._surfel.truncate(int(self._offset.data[views]))
        self._offset.truncate(views + 1)

    def replace(self, surfels: Tensor, counts: Tensor) -> None:
        """Drop everything; view v now saw the next ``counts[v]`` of ``surfels``."""
        self._surfel.replace(surfels.int())
        self._offset.replace(torch.nn.functional.pad(counts.long().cumsum(0), (1, 0)))

    def of(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs of some views [C]: (row into ``views`` [p] int64, surfel [p] int64)."""
        start, counts = self.offsets[views], self.offsets[views + 1] - self.offsets[views]
        row = torch.repeat_interleave(torch.arange(len(views), device=self._device), counts)
        within = torch.arange(len(row), device=self._device) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        return row, self.surfels[start[row] + within].long()

    def sum(self, weight: Tensor, views: Tensor) -> Tensor:
        """Return for each of ``views`` [C] the sum of ``weight`` [N] int64 over the surfels it saw: [C] int64."""
        row, surfel = self.of(views)
        return torch.zeros(len(views), dtype=torch.int64, device=self._device).index_add_(0, row, weight[surfel])
