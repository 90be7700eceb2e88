"""A hash table of tensors: 64-bit keys to rows of numbers, vectorised over the keys that are asked for."""

from __future__ import annotations

import torch
from torch import Tensor

#: What a free slot has for a key, and what a row that holds nothing is full of. Keys are not negative.
EMPTY = -1
_FIRST_SLOTS = 4096
#: Odd multiplier near 2^64 / golden ratio (Fibonacci hashing), as a signed 64-bit number.
GOLDEN = -7046029254386353131


class HashTable:
    """Open addressing with linear probing. Keys whose row is :data:`EMPTY` are dropped when the table grows.

    :param row: shape of what each key has, int32.
    """

    def __init__(self, device: torch.device, row: tuple[int, ...] = ()) -> None:
        self._device = device
        self._row = row
        self._keys = torch.full((_FIRST_SLOTS,), EMPTY, dtype=torch.int64, device=device)
        #: [slots, *row] int32: what the key of each slot has. A :meth:`claim` may replace it: claim first, then ask.
        self.rows = torch.full((_FIRST_SLOTS, *row), EMPTY, dtype=torch.int32, device=device)
        self._used = 0

    @property
    def keys(self) -> Tensor:
        """[slots] int64: the key of each slot, or :data:`EMPTY`; valid like :attr:`rows`."""
        return self._keys

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._keys.nbytes + self.rows.nbytes

    def find(self, key: Tensor) -> Tensor:
        """Return the slot of each key [M] int64, or -1."""
        result = torch.full_like(key, EMPTY)
        pending, probe = torch.arange(len(key), device=self._device), self._first(key)
        while len(pending):
            found = self._keys.index_select(0, probe)
            hit = found == key.index_select(0, pending)
            hits = hit.nonzero().squeeze(1)
            result[pending.index_select(0, hits)] = probe.index_select(0, hits)
            on = (~hit & (found != EMPTY)).nonzero().squeeze(1)
            pending = pending.index_select(0, on)
            probe = (probe.index_select(0, on) + 1) & (len(self._keys) - 1)
        return result

    def claim(self, key: Tensor) -> Tensor:
        """Return the slot of each of the distinct keys [M], taking free slots for new ones."""
        self.make_room(len(key))
        slot = self.find(key)
        missing = (slot < 0).nonzero().squeeze(1)
        self._used += len(missing)
        probe = self._first(key[missing])
        while len(missing):
            free = self._keys[probe] == EMPTY
            # Several keys may write to one free slot; whichever stays there has won it, the others go on. Which one
            # wins changes only the layout of the table, never what a look-up returns.
            self._keys[probe[free]] = key[missing[free]]
            won = free & (self._keys[probe] == key[missing])
            slot[missing[won]] = probe[won]
            missing, probe = missing[~won], (probe[~won] + 1) & (len(self._keys) - 1)
        return slot

    def make_room(self, more: int) -> None:
        """See to it that so many more keys find free slots."""
        if 2 * (self._used + more) > len(self._keys):
            self._grow(more)

    def taken(self, more: int) -> None:
        """Note that so many free slots were given keys, in :attr:`keys`."""
        self._used += more

    def _first(self, key: Tensor) -> Tensor:
        """Return the slot at which the search for each key begins."""
        mixed = key * GOLDEN
        return (mixed ^ (mixed >> 32)) & (len(self._keys) - 1)

    def _grow(self, more: int) -> None:
        """Move all keys that have something into a table with four slots for each of them and of ``more``."""
        before = self._keys, self.rows, self._used
        alive = (self.rows != EMPTY).flatten(1).any(dim=1) if self._row else self.rows != EMPTY
        keys, rows = self._keys[alive], self.rows[alive]
        capacity = 1 << (4 * (len(keys) + more) - 1).bit_length()
        try:
            self._keys = torch.full((capacity,), EMPTY, dtype=torch.int64, device=self._device)
            self.rows = torch.full((capacity, *self._row), EMPTY, dtype=torch.int32, device=self._device)
            self._used = 0
            self.rows[self.claim(keys)] = rows
        except BaseException:
            # Out of memory on the way: the small table is still right.
            self._keys, self.rows, self._used = before
            raise
