"""The index: voxels, which view saw which, and how to find and render them. It knows views only by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vmem_ros.memory import view_storage
from vmem_ros.memory.hash_table import HashTable
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.points.grid import Grid, pack
from vmem_ros.memory.points.journal import Journal
from vmem_ros.memory.points.splatting import Splat, splat
from vmem_ros.memory.points.state_check import check_index
from vmem_ros.memory.points.voxels import MOST, Voxels, VoxelStore, gather
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.sparse_weights import SparseWeights
from vmem_ros.types import Target

_NOTHING = torch.iinfo(torch.int32).max


class PointIndex:
    """Points on a grid, numbered in the order in which they were added.

    :param voxel: side of a voxel in metres.
    """

    def __init__(self, device: torch.device, *, voxel: float) -> None:
        self._device = device
        self._grid = Grid(voxel, torch.zeros(3, dtype=torch.int64))
        self._store = VoxelStore(device, voxel)
        #: Number of the observed and of the imagined voxel of each cell.
        self._table = HashTable(device, (2,))
        self._observations = Observations(device)
        self._journal = Journal(device)
        self._reach = Reach(device)
        self._visible = Numbering(device)
        self._weights = SparseWeights(device)
        #: Number of points before each view was added, and after the last.
        self._born = [0]
        corners = torch.tensor([0, 1], device=device)
        self._octants = torch.cartesian_prod(corners, corners, corners)

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._born) - 1

    @property
    def store(self) -> VoxelStore:
        """The voxels, relative to the origin of the grid; valid until the next change."""
        return self._store

    @property
    def world_position(self) -> Tensor:
        """[N, 3] float32: a copy of all points in the world frame."""
        return (self._store.position.double() + self._grid.origin.to(self._device)).float()

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        parts = (self._store, self._table, self._observations, self._journal, self._reach, self._visible, self._weights)
        return sum(part.nbytes for part in parts)

    # Changing

    def add(
        self, points: Tensor, colors: Tensor, size: Tensor, T_world_camera: Tensor, *, observed: bool, seen: Tensor
    ) -> None:
        """Add the next view.

        Points that a camera observed count in the means of their voxels. Points that were imagined make voxels only
        where there are none, neither observed nor imagined, within half a voxel at least.

        :param points: [n, 3] float32 in its optical frame, with ``colors`` [n, 3] uint8 and ``size`` [n] float32, the
            side of a pixel there in metres.
        :param seen: [s] int64 numbers of voxels that the view saw besides.
        """
        if len(self) == 0:
            self._grid = Grid.around(T_world_camera[:3, 3], self._grid.voxel)
        new = gather(points, colors, size, self._grid, T_world_camera, observed=observed)
        old = self._at(new.key, imagined=0) if observed else self._near(new)
        met = old >= 0
        if observed:
            self._average(new.select(met.nonzero().squeeze(1)), old[met])
        fresh = new.select((~met).nonzero().squeeze(1))
        n = len(self._store)
        self._store.append(fresh)
        slot = self._table.claim(fresh.key)
        self._table.rows[slot, int(not observed)] = self._numbers(n, len(fresh)).int()
        every = torch.cat([torch.cat([old[met], seen]).unique(), self._numbers(n, len(fresh))])
        self._observations.append(every)
        self._reach.append(self._store.centres(every))
        self._journal.close()
        self._born.append(len(self._store))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views, and put back what later ones changed; also undoes an addition that failed."""
        n = self._born[views]
        self._forget(n)
        self._store.truncate(n)
        for index, sums, size in self._journal.since(views):
            older = index < n
            self._store.change(index[older], sums[older], size[older])
        self._observations.truncate(views)
        self._reach.truncate(views)
        self._journal.truncate(views)
        del self._born[views + 1 :]
        if not views:
            self._grid = Grid(self._grid.voxel, torch.zeros_like(self._grid.anchor))

    def kept(self, views: Tensor) -> PointIndex:
        """Return an index of the views numbered ``views`` [k] int64, ascending, and the points that one of them saw.

        A point then belongs to the oldest view left that saw it, and keeps its mean: what forgotten views gave to it
        cannot be told apart, and goes when that view goes.
        """
        row, point = self._observations.of_all(views.to(self._device))
        first = torch.full((len(self._store),), len(views), dtype=torch.int64, device=self._device)
        first.scatter_reduce_(0, point, row, "amin")
        order = torch.argsort(first, stable=True)[: int((first < len(views)).sum())]
        number = torch.full_like(first, -1)
        number[order] = self._numbers(0, len(order))
        born = [0, *torch.bincount(first[order], minlength=len(views)).cumsum(0).tolist()]
        changes, offset = [self._journal.rows[:0]], [0]
        for place, view in enumerate(views.tolist()):
            rows = self._journal.rows[self._journal.offset[view] : self._journal.offset[view + 1]].clone()
            rows[:, 0] = number[rows[:, 0].long()].int()
            changes.append(rows[(rows[:, 0] >= 0) & (rows[:, 0] < born[place])])
            offset.append(offset[-1] + len(changes[-1]))
        index = PointIndex(self._device, voxel=self._grid.voxel)
        index._grid, index._born = self._grid, born
        index._store.append(self._store.voxels.select(order))
        index._observations.replace(number[point], torch.bincount(row, minlength=len(views)))
        index._journal.replace(torch.cat(changes), offset)
        index._derive()
        return index

    # Asking

    def render(self, target: Target, *, scale: float) -> Splat:
        """Return which points a target sees; see :func:`~vmem_ros.memory.points.splatting.splat`."""
        return splat(self._store, target.camera, self._grid.local(target.T_world_camera), scale=scale)

    def visible(self, ids: Tensor) -> Tensor:
        """Return the distinct points [m] int64 among ``ids`` [p] int64, where -1 is none, ascending."""
        self._visible.renew(ids, len(self._store))
        return self._visible.elements

    def shared(self, points: Tensor) -> Tensor:
        """Return how many of the distinct ``points`` [m] int64 each view saw: [V] int64; of many, an estimate."""
        counts = torch.zeros(len(self), dtype=torch.int64, device=self._device)
        near = self._reach.near(self._store.centres(points))
        counts[near] = self._observations.sums(self._weights.spread(points, 1, len(self._store)), near)
        return counts

    def unseen(self, points: Tensor, views: Sequence[int]) -> Tensor:
        """Return those of the distinct ``points`` [m] int64 that none of some views saw."""
        weight = self._weights.spread(points, 1, len(self._store))
        for view in views:
            weight[self._observations.of(view)] = 0
        return points[weight.index_select(0, points) > 0]

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        voxels = self._store.voxels
        return {
            "points/key": voxels.key,
            "points/sums": voxels.sums,
            "points/size": voxels.size,
            "points/observed": voxels.observed,
            "observations/point": self._observations.elements,
            "observations/offset": self._observations.offsets,
            "changes/rows": self._journal.rows,
            "changes/offset": torch.tensor(self._journal.offset),
            "views/born": torch.tensor(self._born),
            "grid/anchor": self._grid.anchor,
            "grid/voxel": torch.tensor([self._grid.voxel], dtype=torch.float64),
        }

    def restored(self, tensors: Mapping[str, Tensor], views: int) -> PointIndex:
        """Return an index like this one with the content that :meth:`state` returned for so many views.

        :raises WorldFileError: missing, inconsistent or out-of-range entries, or voxels of another size.
        """
        mine = self.state()
        home = {name: "cpu" if name.split("/")[0] in ("grid", "views") else self._device for name in mine}
        taken = {name: view_storage.take(tensors, name, like=mine[name], device=home[name]) for name in mine}
        check_index(taken, views, self._grid.voxel)
        index = PointIndex(self._device, voxel=self._grid.voxel)
        index._grid = Grid(self._grid.voxel, taken["grid/anchor"].clone())
        index._born = taken["views/born"].tolist()
        index._store.append(Voxels(*(taken[f"points/{name}"] for name in ("key", "sums", "size", "observed"))))
        index._observations.replace(taken["observations/point"], taken["observations/offset"].diff())
        index._journal.replace(taken["changes/rows"], taken["changes/offset"].tolist())
        index._derive()
        return index

    # Insides

    def _numbers(self, start: int, count: int) -> Tensor:
        return torch.arange(start, start + count, device=self._device)

    def _derive(self) -> None:
        """Fill in what follows from points and observations: the table of voxels, and the reach of each view."""
        voxels = self._store.voxels
        self._table.claim(voxels.key.unique())
        slot = self._table.find(voxels.key)
        self._table.rows[slot, (~voxels.observed).long()] = self._numbers(0, len(voxels)).int()
        row, seen = self._observations.of_all(self._numbers(0, len(self)))
        self._reach.replace(row, self._store.centres(seen), len(self))

    def _average(self, new: Voxels, old: Tensor) -> None:
        """Add the sums of new voxels to those of the old ones [n] in their cells."""
        before = self._store.voxels.select(old)
        open_ = (before.sums[:, 6] < MOST).nonzero().squeeze(1)
        new, before, old = new.select(open_), before.select(open_), old.index_select(0, open_)
        self._journal.note(old, before.sums, before.size)
        self._store.change(old, before.sums + new.sums, torch.minimum(before.size, new.size))

    def _at(self, key: Tensor, *, imagined: int) -> Tensor:
        """Return the observed voxel (0) or the imagined one (1) at each key [n], or -1: [n] int64."""
        slot = self._table.find(key)
        rows = self._table.rows[:, imagined].index_select(0, slot.clamp(min=0)).long()
        return torch.where(slot >= 0, rows, -1)

    def _near(self, new: Voxels) -> Tensor:
        """Return the oldest voxel in the eight cells around the corner of each that is nearest to its mean, or -1."""
        corner = torch.floor(new.places - 0.5).long()
        slot = self._table.find(pack(corner[:, None] + self._octants).flatten())
        found = torch.where(slot[:, None] >= 0, self._table.rows.index_select(0, slot.clamp(min=0)), -1)
        oldest = torch.where(found >= 0, found, _NOTHING).view(-1, found.shape[1] * len(self._octants)).amin(dim=1)
        return torch.where(oldest == _NOTHING, -1, oldest).long()

    def _forget(self, n: int) -> None:
        """Take the voxels numbered ``n`` and up, the newest, out of the table."""
        newest = self._store.voxels.select(self._numbers(n, len(self._store) - n))
        kind = (~newest.observed).long()
        slot = self._table.find(newest.key)
        found = (slot >= 0).nonzero().squeeze(1)
        slot, kind = slot[found], kind[found]
        # A write that failed half-way may have stored some that were never entered.
        mine = self._table.rows[slot, kind] >= n
        self._table.rows[slot[mine], kind[mine]] = -1
