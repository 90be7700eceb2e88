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


class Blocks(NamedTuple):
    """Surfels in blocks of :data:`BLOCK` that were written together, so that they lie together.

    :param centre: [B, 3] and ``radius`` [B]: bounding sphere of the surfels' centres in each block.
    :param largest: [B] radius of the largest surfel in each block.
    :param surfels: their columns, [B, BLOCK, ...]. Block b holds the surfels ``b * BLOCK`` and up; those beyond the
        number of surfels have no meaning.
    """

    centre: Tensor
    radius: Tensor
    largest: Tensor
    surfels: SurfelCloud


class SurfelStore:
    """A growing :class:`SurfelCloud` with a bounding sphere for every block of :data:`BLOCK` neighbours in time."""

    def __init__(self, device: torch.device) -> None:
        vector, scalar, rgb = ((3,), torch.float32), ((), torch.float32), ((3,), torch.uint8)
        kinds = {"position": vector, "normal": vector, "radius": scalar, "color": rgb, "provenance": scalar}
        self._columns = {name: GrowableTensor(shape, dtype, device) for name, (shape, dtype) in kinds.items()}
        self._block_centre = GrowableTensor((3,), torch.float32, device)
        self._block_radius = GrowableTensor((), torch.float32, device)
        self._block_largest = GrowableTensor((), torch.float32, device)

    def __len__(self) -> int:
        return len(self._columns["position"])

    @property
    def cloud(self) -> SurfelCloud:
        """All surfels; a view on the storage, valid until the next change."""
        return SurfelCloud(**{name: column.data for name, column in self._columns.items()})

    @property
    def blocks(self) -> Blocks:
        """The surfels in blocks; a view on the storage, valid until the next change."""
        return Blocks(
            self._block_centre.data, self._block_radius.data, self._block_largest.data,
            SurfelCloud(**{name: column.blocks for name, column in self._columns.items()}),
        )  # fmt: skip

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
        """Recompute the bounding spheres from the block that holds surfel ``changed_from``."""
        first = changed_from // BLOCK
        self._block_centre.truncate(first)
        self._block_radius.truncate(first)
        self._block_largest.truncate(first)
        cloud = self.cloud.after(first * BLOCK)
        if len(cloud) == 0:
            return
        missing = -len(cloud) % BLOCK
        # Repeating the last surfel fills the last block without changing its bounds.
        position = torch.cat([cloud.position, cloud.position[-1:].expand(missing, 3)]).view(-1, BLOCK, 3)
        radius = torch.cat([cloud.radius, cloud.radius[-1:].expand(missing)]).view(-1, BLOCK)
        centre = (position.amin(dim=1) + position.amax(dim=1)) / 2
        self._block_centre.append(centre)
        self._block_radius.append(torch.linalg.vector_norm(position - centre[:, None], dim=-1).amax(dim=1))
        self._block_largest.append(radius.amax(dim=1))
