"""Bounding spheres of elements that were written together: what a camera that looks elsewhere can leave out at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_notes as compiled
from vmem_ros.memory.growable import BLOCK, GrowableTensor


class Bounds(NamedTuple):
    """Spheres around the centres of elements.

    :param centre: [B, 3].
    :param radius: [B].
    :param largest: [B] radius of the largest element within.
    """

    centre: Tensor
    radius: Tensor
    largest: Tensor

    def select(self, index: Tensor) -> Bounds:
        """Return the spheres numbered ``index`` [n] int64."""
        return Bounds(*(column.index_select(0, index) for column in self))


def members_of(blocks: Tensor) -> Tensor:
    """Return the numbers of the elements of ``blocks`` [n]: [n * BLOCK] int64, those beyond the last element too."""
    return (blocks[:, None] * BLOCK + torch.arange(BLOCK, device=blocks.device)).flatten()


#: Returns the spheres of the elements numbered ``index`` [n] int64.
SpheresOf = Callable[[Tensor], Bounds]


class BlockBounds:
    """Bounds of blocks, :data:`BLOCK` successive elements each, and of groups, :data:`BLOCK` successive blocks each.

    They follow from the elements alone, however these came about.
    """

    def __init__(self, device: torch.device) -> None:
        self._blocks, self._groups = _GrowingBounds(device), _GrowingBounds(device)

    @property
    def blocks(self) -> Bounds:
        """Bounds of each block; a view on the storage, valid until the next change."""
        return self._blocks.data

    @property
    def groups(self) -> Bounds:
        """Bounds of each group; a view on the storage, valid until the next change."""
        return self._groups.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._blocks.nbytes + self._groups.nbytes

    def follow(self, spheres_of: SpheresOf, length: int, changed_from: int) -> None:
        """Bring everything up to date with ``length`` elements, of which those from ``changed_from`` on are new."""
        self._blocks.truncate(changed_from // BLOCK)
        self._blocks.extend(spheres_of, length)
        self._groups.truncate(changed_from // BLOCK**2)
        self._groups.extend(self.blocks.select, len(self._blocks))

    def renew(self, spheres_of: SpheresOf, length: int, changed: Tensor) -> None:
        """Bring everything up to date with ``length`` elements, of which those numbered ``changed`` [n] differ."""
        blocks = (changed // BLOCK).unique()
        self._blocks.put(spheres_of, length, blocks)
        self._groups.put(self.blocks.select, len(self._blocks), (blocks // BLOCK).unique())


class _GrowingBounds:
    """Bounds of every :data:`BLOCK` successive spheres of a growing number."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._centre = GrowableTensor((3,), torch.float32, device)
        self._radius = GrowableTensor((), torch.float32, device)
        self._largest = GrowableTensor((), torch.float32, device)

    def __len__(self) -> int:
        return len(self._centre)

    @property
    def data(self) -> Bounds:
        return Bounds(self._centre.data, self._radius.data, self._largest.data)

    @property
    def nbytes(self) -> int:
        return self._centre.nbytes + self._radius.nbytes + self._largest.nbytes

    def truncate(self, length: int) -> None:
        for column in (self._centre, self._radius, self._largest):
            column.truncate(length)

    def extend(self, spheres_of: SpheresOf, length: int) -> None:
        """Append the bounds of all of ``length`` spheres that have none."""
        first = len(self) * BLOCK
        if first >= length:
            return
        bounds = _around(spheres_of(torch.arange(first, length, device=self._device)))
        for column, rows in zip((self._centre, self._radius, self._largest), bounds, strict=True):
            column.append(rows)

    def put(self, spheres_of: SpheresOf, length: int, numbers: Tensor) -> None:
        """Replace the bounds numbered ``numbers`` [n]."""
        if not len(numbers):
            return
        # Repeating the last sphere fills the last block without changing its bounds.
        members = members_of(numbers).clamp_(max=length - 1)
        for column, rows in zip(self.data, _around(spheres_of(members)), strict=True):
            column[numbers] = rows


def _around(spheres: Bounds) -> Bounds:
    """Return the bounds of every :data:`BLOCK` successive spheres; there is one at least."""
    if library := usable(spheres.centre):
        return Bounds(*compiled.bound(library, *spheres, BLOCK))
    n = len(spheres.radius)
    whole = torch.arange(-(-n // BLOCK) * BLOCK, device=spheres.radius.device).clamp_(max=n - 1)
    inner = Bounds(*(column.unflatten(0, (-1, BLOCK)) for column in spheres.select(whole)))
    reach = inner.radius[..., None]
    centre = ((inner.centre - reach).amin(dim=1) + (inner.centre + reach).amax(dim=1)) / 2
    distance = torch.linalg.vector_norm(inner.centre - centre[:, None], dim=-1)
    return Bounds(centre, (distance + inner.radius).amax(dim=1), inner.largest.amax(dim=1))
