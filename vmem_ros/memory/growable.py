"""A tensor that grows by doubling."""

from __future__ import annotations

import torch
from torch import Tensor

#: Rows are allocated in multiples of this, so that they can always be seen as whole blocks.
BLOCK = 32


class GrowableTensor:
    """Rows that can be appended to the end and cut off from it, each in amortised constant time.

    :param shape: shape of one row.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> None:
        self._buffer = torch.zeros((BLOCK, *shape), dtype=dtype, device=device)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def data(self) -> Tensor:
        """[n, *shape]: the rows, as a view that the next growth leaves behind."""
        return self._buffer[: self._length]

    @property
    def blocks(self) -> Tensor:
        """[ceil(n / BLOCK), BLOCK, *shape]: the same rows; what fills the last block up is of no meaning."""
        whole = -(-self._length // BLOCK)
        return self._buffer[: whole * BLOCK].view(whole, BLOCK, *self._buffer.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes allocated, unused capacity included."""
        return self._buffer.nbytes

    def append(self, rows: Tensor) -> None:
        """Append rows [m, *shape]."""
        self._room(rows.shape[0])[:] = rows
        self._length += rows.shape[0]

    def extend(self, count: int) -> Tensor:
        """Append rows and return them [count, *shape] to be filled: until then they mean nothing."""
        rows = self._room(count)
        self._length += count
        return rows

    def _room(self, count: int) -> Tensor:
        """Return the next rows [count, *shape], which are not appended yet."""
        end, allocated = self._length + count, self._buffer.shape[0]
        if end > allocated:
            capacity = -(-max(end, 2 * allocated) // BLOCK) * BLOCK
            grown = self._buffer.new_zeros((capacity, *self._buffer.shape[1:]))
            grown[: self._length] = self._buffer[: self._length]
            self._buffer = grown
        return self._buffer[self._length : end]

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` rows."""
        self._length = min(length, self._length)

    def replace(self, rows: Tensor) -> None:
        """Drop everything and keep ``rows`` instead."""
        self._length = 0
        self.append(rows)
