"""What views changed of voxels that were there before them, so that undoing restores it bit by bit."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.memory.growable import GrowableTensor

#: Numbers a row: the voxel, its seven sums and the bits of its size, as they were before the view.
ROW = 9


class Journal:
    """Rows of what was before, grouped by view; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        self._rows = GrowableTensor((ROW,), torch.int32, device)
        #: Number of rows before each view, and after the last.
        self._offset = [0]

    @property
    def rows(self) -> Tensor:
        """[R, ROW] int32."""
        return self._rows.data

    @property
    def offset(self) -> list[int]:
        """View v changed ``rows[offset[v] : offset[v + 1]]``; those after the last are of a view that failed."""
        return self._offset

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._rows.nbytes

    def note(self, index: Tensor, sums: Tensor, size: Tensor) -> None:
        """Note the state of voxels ``index`` [n] that the next view is about to change."""
        self._rows.append(torch.cat([index.int()[:, None], sums, size.view(torch.int32)[:, None]], dim=1))

    def close(self) -> None:
        """Count the next view as one whose changes are all noted."""
        self._offset.append(len(self._rows))

    def since(self, view: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return what to put back, in this order, to be before a view: (index [n] int64, sums [n, 7], size [n])."""
        ends = [*self._offset[view + 1 :], len(self._rows)]
        starts = [self._offset[view], *ends[:-1]]
        parts = [self.rows[start:end] for start, end in zip(starts, ends, strict=True) if end > start]
        return [(p[:, 0].long(), p[:, 1:8], p[:, 8].contiguous().view(torch.float32)) for p in reversed(parts)]

    def truncate(self, views: int) -> None:
        """Forget what later views than the first ``views`` changed."""
        self._rows.truncate(self._offset[views])
        del self._offset[views + 1 :]

    def replace(self, rows: Tensor, offset: list[int]) -> None:
        """Drop everything and keep ``rows`` [R, ROW] of views that begin at ``offset`` [V + 1]."""
        self._rows.replace(rows)
        self._offset = list(offset)
