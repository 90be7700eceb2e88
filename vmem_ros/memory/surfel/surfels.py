"""Surfels: oriented disks that index the views which saw them, as a structure of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.memory.growable import BLOCK, GrowableTensor


@dataclass(frozen=True, eq=False)
class SurfelCloud:
    """N surfels.

    :param position: [N, 3] float32 centres in metres.
    :param normal: [N, 3] float32 unit, facing the camera that saw the surfel first.
    :param radius: [N] float32 in metres.
    :param color: [N, 3] uint8 RGB.
    :param provenance: [N] float32: 1 seen by a real camera, 0 only imagined.
    """

    position: Tensor
    normal: Tensor
    radius: Tensor
    color: Tensor
    provenance: Tensor

    def __len__(self) -> int:
        return len(self.position)

    def select(self, index: Tensor) -> SurfelCloud:
        """Return the surfels numbered ``index`` [n] int64."""
        return SurfelCloud(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))

    def after(self, start: int) -> SurfelCloud:
        """Return the surfels from number ``start``."""
        return SurfelCloud(*(getattr(self, f.name)[start:] for f in fields(self)))


class Bounds(NamedTuple):
    """Spheres around the centres of surfels.

    :param centre: [B, 3].
    :param radius: [B].
    :param largest: [B] radius of the largest surfel within.
    """

    centre: Tensor
    radius: Tensor
    largest: Tensor

    def select(self, index: Tensor) -> Bounds:
        """Return the spheres numbered ``index`` [n] int64."""
        return Bounds(*(column.index_select(0, index) for column in self))


class Blocks(NamedTuple):
    """Surfels in blocks of :data:`BLOCK` that were written together, so that they lie together.

    :param bounds: of each of B blocks.
    :param groups: of each :data:`BLOCK` successive blocks: what a camera that looks elsewhere can leave out at once.
    :param surfels: their columns, [B, BLOCK, ...]. Block b holds the surfels ``b * BLOCK`` and up; those beyond the
        number of surfels have no meaning.
    """

    bounds: Bounds
    groups: Bounds
    surfels: SurfelCloud


class SurfelStore:
    """A growing :class:`SurfelCloud` with bounding spheres of neighbours in time, and of their neighbours."""

    def __init__(self, device: torch.device) -> None:
        vector, scalar, rgb = ((3,), torch.float32), ((), torch.float32), ((3,), torch.uint8)
        kinds = {"position": vector, "normal": vector, "radius": scalar, "color": rgb, "provenance": scalar}
        self._columns = {name: GrowableTensor(shape, dtype, device) for name, (shape, dtype) in kinds.items()}
        self._bounds, self._groups = _GrowingBounds(device), _GrowingBounds(device)

    def __len__(self) -> int:
        return len(self._columns["position"])

    @property
    def cloud(self) -> SurfelCloud:
        """All surfels; a view on the storage, valid until the next change."""
        return SurfelCloud(**{name: column.data for name, column in self._columns.items()})

    @property
    def blocks(self) -> Blocks:
        """The surfels in blocks; a view on the storage, valid until the next change."""
        surfels = SurfelCloud(**{name: column.blocks for name, column in self._columns.items()})
        return Blocks(self._bounds.data, self._groups.data, surfels)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(column.nbytes for column in self._columns.values())

    def append(self, cloud: SurfelCloud) -> None:
        """Append surfels."""
        start = len(self)
        for name, column in self._columns.items():
            column.append(getattr(cloud, name))
        self._bound(start)

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` surfels."""
        for column in self._columns.values():
            column.truncate(length)
        self._bound(length)

    def replace(self, cloud: SurfelCloud) -> None:
        """Drop everything and keep ``cloud`` instead."""
        self.truncate(0)
        self.append(cloud)

    def _bound(self, changed_from: int) -> None:
        """Bring the bounding spheres up to date from surfel ``changed_from`` on."""
        cloud = self.cloud
        points = Bounds(cloud.position, torch.zeros_like(cloud.radius), cloud.radius)
        self._bounds.update(points, changed_from)
        self._groups.update(self._bounds.data, changed_from // BLOCK)


class _GrowingBounds:
    """Bounding spheres of every :data:`BLOCK` successive spheres of a growing number."""

    def __init__(self, device: torch.device) -> None:
        self._centre = GrowableTensor((3,), torch.float32, device)
        self._radius = GrowableTensor((), torch.float32, device)
        self._largest = GrowableTensor((), torch.float32, device)

    @property
    def data(self) -> Bounds:
        """All spheres; a view on the storage, valid until the next change."""
        return Bounds(self._centre.data, self._radius.data, self._largest.data)

    def update(self, inner: Bounds, changed_from: int) -> None:
        """Bound ``inner`` [N], of which all before number ``changed_from`` are as they were."""
        first = changed_from // BLOCK
        for column in (self._centre, self._radius, self._largest):
            column.truncate(first)
        inner = Bounds(*(column[first * BLOCK :] for column in inner))
        count = len(inner.radius)
        if count == 0:
            return
        # Repeating the last sphere fills the last block without changing its bounds.
        whole = torch.arange(-(-count // BLOCK) * BLOCK, device=inner.radius.device).clamp_(max=count - 1)
        inner = Bounds(*(column.unflatten(0, (-1, BLOCK)) for column in inner.select(whole)))
        reach = inner.radius[..., None]
        centre = ((inner.centre - reach).amin(dim=1) + (inner.centre + reach).amax(dim=1)) / 2
        distance = torch.linalg.vector_norm(inner.centre - centre[:, None], dim=-1)
        self._centre.append(centre)
        self._radius.append((distance + inner.radius).amax(dim=1))
        self._largest.append(inner.largest.amax(dim=1))
