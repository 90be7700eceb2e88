"""Surfels: oriented disks that index the views which saw them, as a structure of arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import transform
from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_notes as compiled
from vmem_ros.memory.bounds import BlockBounds, Bounds
from vmem_ros.memory.growable import GrowableTensor


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
        return self.position.shape[0]  # len() of a tensor takes ten times as long

    def select(self, index: Tensor) -> SurfelCloud:
        """Return the surfels numbered ``index`` [n] int64."""
        return SurfelCloud(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))

    def after(self, start: int) -> SurfelCloud:
        """Return the surfels from number ``start``."""
        return SurfelCloud(*(getattr(self, f.name)[start:] for f in fields(self)))


def moved(cloud: SurfelCloud, T: Tensor) -> SurfelCloud:
    """Return surfels that are moved by a rigid transform [4, 4]."""
    if library := usable(cloud.position):
        position, normal = compiled.moved(library, cloud.position, cloud.normal, T)
    else:
        position, normal = transform(T, cloud.position), cloud.normal @ T[:3, :3].T.to(cloud.normal)
    return replace(cloud, position=position, normal=normal)


class Blocks(NamedTuple):
    """Surfels in blocks of ``BLOCK`` that were written together, so that they lie together.

    :param bounds: of each of B blocks, and of groups of them.
    :param surfels: their columns, [B, BLOCK, ...]. Block b holds the surfels ``b * BLOCK`` and up; those beyond the
        number of surfels have no meaning.
    """

    bounds: BlockBounds
    surfels: SurfelCloud


class SurfelStore:
    """A growing :class:`SurfelCloud` with bounding spheres of neighbours in time, and of their neighbours."""

    def __init__(self, device: torch.device) -> None:
        vector, scalar, rgb = ((3,), torch.float32), ((), torch.float32), ((3,), torch.uint8)
        kinds = {"position": vector, "normal": vector, "radius": scalar, "color": rgb, "provenance": scalar}
        self._columns = {name: GrowableTensor(shape, dtype, device) for name, (shape, dtype) in kinds.items()}
        self._bounds = BlockBounds(device)

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
        return Blocks(self._bounds, surfels)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._bounds.nbytes + sum(column.nbytes for column in self._columns.values())

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
        self._bounds.follow(self._spheres, len(self), changed_from)

    def _spheres(self, index: Tensor) -> Bounds:
        radius = self._columns["radius"].data.index_select(0, index)
        return Bounds(self._columns["position"].data.index_select(0, index), torch.zeros_like(radius), radius)
