"""From the points of a view to voxels, and the voxels that are remembered: sums whose means are the points."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vmem_ros.memory.bounds import BlockBounds, Bounds
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.points.grid import REACH, Grid, pack, unpack

#: Steps along the side of a voxel in which places are summed. Integers add up to the same in any order, on any device.
STEPS = 256
#: One view counts at most so many times in a voxel, and a voxel that has counted so often stays as it is: 32 bits hold
#: the sums.
MOST_OF_A_VIEW, MOST = 1 << 12, 1 << 20


@dataclass(frozen=True, eq=False)
class Voxels:
    """N occupied voxels.

    :param key: [N] int64, see :func:`~vmem_ros.memory.points.grid.pack`.
    :param sums: [N, 7] int32: places within the voxel in steps x, y, z; colours r, g, b; and how many points.
    :param size: [N] float32: side of what is drawn in metres: of the voxel, or of a pixel of the view that saw it
        best where that is larger.
    :param observed: [N] bool: of what cameras saw, or somebody added; otherwise imagined. A cell may have a voxel of
        either kind, and of what was added.
    """

    key: Tensor
    sums: Tensor
    size: Tensor
    observed: Tensor

    def __len__(self) -> int:
        return len(self.key)

    def select(self, index: Tensor) -> Voxels:
        """Return the voxels numbered ``index`` [n] int64."""
        return Voxels(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))

    @property
    def places(self) -> Tensor:
        """[N, 3] float64: the mean places in units of cells."""
        mean = self.sums[:, :3].double() / self.sums[:, 6:].double()
        return unpack(self.key).double() + (mean + 0.5) / STEPS

    @property
    def colors(self) -> Tensor:
        """[N, 3] uint8: the mean colours."""
        count = self.sums[:, 6:]
        return ((self.sums[:, 3:6] + count // 2) // count).to(torch.uint8)


def gather(
    points: Tensor, colors: Tensor, size: Tensor, grid: Grid, T_world_camera: Tensor, *, observed: bool
) -> Voxels:
    """Return the voxels of the points of one view, sorted by key. Points beyond the reach of the grid are dropped.

    :param points: [n, 3] float32 in the optical frame.
    :param colors: [n, 3] uint8.
    :param size: [n] float32 side of a pixel at each point, in metres.
    """
    place = grid.places(points, T_world_camera)
    inside = (place.abs() < REACH - 1).all(dim=-1).nonzero().squeeze(1)
    place = place.index_select(0, inside)
    cell = torch.floor(place).long()
    step = ((place - cell) * STEPS).long()
    rows = torch.cat([step, colors.index_select(0, inside), torch.ones_like(step[:, :1])], dim=1)

    key, order = pack(cell).sort(stable=True)
    key, counts = key.unique_consecutive(return_counts=True)
    last = counts.cumsum(0) - 1
    sums = rows.index_select(0, order).cumsum(0).index_select(0, last)
    sums[1:] -= sums[:-1].clone()
    crowded = (sums[:, 6] > MOST_OF_A_VIEW).nonzero().squeeze(1)
    sums[crowded] = sums[crowded] * MOST_OF_A_VIEW // sums[crowded, 6:]
    owner = torch.repeat_interleave(counts)
    smallest = torch.full(key.shape, torch.inf, device=key.device)
    smallest.scatter_reduce_(0, owner, size.index_select(0, inside).index_select(0, order), "amin")
    return Voxels(key, sums.int(), smallest.clamp(min=grid.voxel), torch.full_like(key, observed, dtype=torch.bool))


class VoxelStore:
    """Growing :class:`Voxels` whose sums change, with what is drawn of them."""

    def __init__(self, device: torch.device, voxel: float) -> None:
        self._voxel = voxel
        kinds = {"key": ((), torch.int64), "sums": ((7,), torch.int32), "size": ((), torch.float32)}
        kinds |= {"observed": ((), torch.bool)}
        self._columns = {name: GrowableTensor(shape, dtype, device) for name, (shape, dtype) in kinds.items()}
        self._removed = GrowableTensor((), torch.bool, device)
        self._added = GrowableTensor((), torch.bool, device)
        # What follows from the columns.
        self._position = GrowableTensor((3,), torch.float32, device)
        self._color = GrowableTensor((3,), torch.uint8, device)
        self._bounds = BlockBounds(device)

    def __len__(self) -> int:
        # The column that is appended last: an addition that failed half-way does not count.
        return len(self._color)

    @property
    def voxels(self) -> Voxels:
        """All voxels; a view on the storage, valid until the next change."""
        return Voxels(**{name: column.data for name, column in self._columns.items()})

    @property
    def position(self) -> Tensor:
        """[N, 3] float32 mean places in metres, relative to the origin of the grid; NaN of what was removed."""
        return self._position.data

    @property
    def removed(self) -> Tensor:
        """[N] bool: somebody removed the voxel: it is neither drawn nor met."""
        return self._removed.data

    @property
    def added(self) -> Tensor:
        """[N] bool: somebody added the voxel: no view changes it."""
        return self._added.data

    @property
    def color(self) -> Tensor:
        """[N, 3] uint8 mean colours."""
        return self._color.data

    @property
    def blocks(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions [B, BLOCK, 3], sizes and observed [B, BLOCK] in blocks of voxels that lie together."""
        return self._position.blocks, self._columns["size"].blocks, self._columns["observed"].blocks

    @property
    def bounds(self) -> BlockBounds:
        """Bounds of the blocks. They follow from keys and sizes, not from the means, which wander in their voxels."""
        return self._bounds

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._bounds.nbytes + sum(column.nbytes for column in self._every())

    def append(self, voxels: Voxels, *, added: bool = False) -> None:
        """Append voxels.

        :param added: by hand, and not by a view.
        """
        start = len(self)
        self._removed.append(torch.zeros_like(voxels.observed))
        self._added.append(torch.full_like(voxels.observed, added))
        for name, column in self._columns.items():
            column.append(getattr(voxels, name))
        self._position.append((voxels.places * self._voxel).float())
        self._color.append(voxels.colors)
        self._bounds.follow(self._spheres, len(self), start)

    def change(self, index: Tensor, sums: Tensor, size: Tensor) -> None:
        """Replace sums and sizes of the distinct voxels numbered ``index`` [n] int64."""
        self._columns["sums"].data[index] = sums
        self._columns["size"].data[index] = size
        changed = self.voxels.select(index)
        self._position.data[index] = (changed.places * self._voxel).float()
        self._color.data[index] = changed.colors
        self._bounds.renew(self._spheres, len(self), index)

    def remove(self, index: Tensor) -> None:
        """Mark the voxels numbered ``index`` [n] int64 as removed."""
        self._removed.data[index] = True
        self._position.data[index] = torch.nan

    def bring_back(self, index: Tensor) -> None:
        """Undo :meth:`remove`."""
        self._position.data[index] = (self.voxels.select(index).places * self._voxel).float()
        self._removed.data[index] = False

    def mark_added(self, index: Tensor) -> None:
        """Mark the voxels numbered ``index`` [n] int64 as added by hand."""
        self._added.data[index] = True

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` voxels."""
        for column in self._every():
            column.truncate(length)
        self._bounds.follow(self._spheres, length, length)

    def centres(self, index: Tensor) -> Tensor:
        """Return the centres [n, 3] float32 of the cells of the voxels numbered ``index`` [n] int64, in metres."""
        return ((unpack(self._columns["key"].data.index_select(0, index)).double() + 0.5) * self._voxel).float()

    def _every(self) -> tuple[GrowableTensor, ...]:
        return (*self._columns.values(), self._removed, self._added, self._position, self._color)

    def _spheres(self, index: Tensor) -> Bounds:
        size = self._columns["size"].data.index_select(0, index)
        return Bounds(self.centres(index), torch.full_like(size, 0.87 * self._voxel), size)
