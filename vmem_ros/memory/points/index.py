"""The index: voxels, which view saw which, and how to find and render them. It knows views only by their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vmem_ros.edits import Region
from vmem_ros.memory import view_storage
from vmem_ros.memory.cloud_surface import spacing_of
from vmem_ros.memory.edit_log import EditLog
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.points.cell_table import CellTable
from vmem_ros.memory.points.grid import Grid
from vmem_ros.memory.points.journal import Journal
from vmem_ros.memory.points.state_check import check_edited, check_index
from vmem_ros.memory.points.voxels import MOST, Voxels, VoxelStore, gather
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.region_search import elements_in
from vmem_ros.memory.sparse_weights import SparseWeights
from vmem_ros.memory.square_splatting import Splat, splat
from vmem_ros.types import Elements, Target


class PointIndex:
    """Points on a grid, numbered in the order in which they were added.

    :param voxel: side of a voxel in metres.
    """

    def __init__(self, device: torch.device, *, voxel: float) -> None:
        self._device = device
        self._grid = Grid(voxel, torch.zeros(3, dtype=torch.int64))
        self._store = VoxelStore(device, voxel)
        self._cells = CellTable(device, self._store)
        self._observations = Observations(device)
        self._journal = Journal(device)
        self._edits = EditLog(device)
        self._reach = Reach(device)
        self._visible = Numbering(device)
        self._weights = SparseWeights(device)
        #: Number of points before each view was added, and after the last.
        self._born = [0]

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._born) - 1

    @property
    def store(self) -> VoxelStore:
        """The voxels, relative to the origin of the grid; valid until the next change."""
        return self._store

    @property
    def added(self) -> Tensor:
        """[N] bool: points that somebody added; valid until the next change."""
        return self._store.added

    @property
    def added_places(self) -> Tensor:
        """[k, 3] float64: where in the world those are that were added and not removed."""
        number = self._edits.all_added(self._born)
        number = number[~self._store.removed[number]]
        return self._store.position.index_select(0, number).double() + self._grid.origin.to(self._device)

    @property
    def edits(self) -> EditLog:
        """What was edited."""
        return self._edits

    @property
    def standing(self) -> Tensor:
        """[n] int64 numbers of the points that are not removed, ascending."""
        return (~self._store.removed).nonzero().squeeze(1)

    def world_position(self, index: Tensor) -> Tensor:
        """Return the places [n, 3] float32 of points ``index`` [n] int64 in the world frame."""
        own = self._store.position.index_select(0, index)
        return (own.double() + self._grid.origin.to(self._device)).float()

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        parts = (
            self._store, self._cells, self._observations, self._journal, self._edits, self._reach, self._visible,
            self._weights,
        )  # fmt: skip
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
        if not len(self) and not len(self._store):
            self._grid = Grid.around(T_world_camera[:3, 3], self._grid.voxel)
        new = gather(points, colors, size, self._grid, T_world_camera, observed=observed)
        old = self._cells.at(new.key, imagined=0) if observed else self._cells.near(new)
        met = old >= 0
        if observed:
            self._average(new.select(met.nonzero().squeeze(1)), old[met])
        fresh = new.select((~met).nonzero().squeeze(1))
        n = len(self._store)
        self._store.append(fresh)
        self._cells.claim(fresh.key)
        self._cells.enter(self._numbers(n, len(fresh)))
        every = torch.cat([torch.cat([old[met], seen]).unique(), self._numbers(n, len(fresh))])
        self._observations.append(every)
        self._reach.append(self._store.centres(every))
        self._journal.close()
        self._born.append(len(self._store))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views, and put back what later ones changed; also undoes an addition that failed."""
        n = self._born[views]
        self._cells.forget(self._numbers(n, len(self._store) - n))
        self._store.truncate(n)
        for index, sums, size in self._journal.since(views):
            older = index < n
            self._store.change(index[older], sums[older], size[older])
        self._observations.truncate(views)
        self._reach.truncate(views)
        self._journal.truncate(views)
        del self._born[views + 1 :]
        self._forget_anchor()

    def edit(self, removed: Tensor, cloud: Elements | None) -> int:
        """Remove the points numbered ``removed`` [n] int64, add a cloud, and return how many points it has here."""
        n = len(self._store)
        try:
            if cloud is not None:
                self._store.append(self._voxels_of(cloud), added=True)
            self._cells.enter(removed, to=-1)
            self._store.remove(removed)
            self._edits.append(len(self), removed, len(self._store) - n)
        except BaseException:
            self._take_back(removed, n)
            raise
        self._born[-1] = len(self._store)
        return len(self._store) - n

    def take_back(self) -> None:
        """Undo the last edit; no view was added since."""
        last = len(self._edits) - 1
        removed, n = self._edits.removed(last), len(self._store) - self._edits.added(last)
        self._edits.pop()
        self._take_back(removed, n)
        self._born[-1] = n
        self._forget_anchor()

    def kept(self, views: Tensor) -> PointIndex:
        """Return an index of the views numbered ``views`` [k] int64, ascending, and the points that one of them saw.

        A point then belongs to the oldest view left that saw it, and keeps its mean: what forgotten views gave to it
        cannot be told apart, and goes when that view goes. What was added by hand stays.
        """
        row, point = self._observations.of_all(views.to(self._device))
        order, born = self._edits.order_of_kept(views, row, point, self._born)
        number = torch.full((len(self._store),), -1, dtype=torch.int64, device=self._device)
        number[order] = self._numbers(0, len(order))
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
        index._edits = self._edits.kept(views, number)
        index._derive()
        return index

    # Asking

    def inside(self, regions: Sequence[Region]) -> Tensor:
        """Return the points that lie in one of the regions: [n] int64, ascending."""
        store = self._store
        return elements_in(regions, store.bounds, store.position, self._grid.origin, ~store.removed)

    def render(self, target: Target, *, scale: float) -> Splat:
        """Return which points a target sees; see :func:`~vmem_ros.memory.square_splatting.splat`."""
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
        } | self._edits.state()

    def restored(self, tensors: Mapping[str, Tensor], views: int) -> PointIndex:
        """Return an index like this one with the content that :meth:`state` returned for so many views.

        :raises WorldFileError: missing, inconsistent or out-of-range entries, or voxels of another size.
        """
        mine = {name: value for name, value in self.state().items() if not name.startswith("edits/")}
        home = {name: "cpu" if name.split("/")[0] in ("grid", "views") else self._device for name in mine}
        taken = {name: view_storage.take(tensors, name, like=mine[name], device=home[name]) for name in mine}
        check_index(taken, views, self._grid.voxel)
        born = taken["views/born"].tolist()
        edits = self._edits.restored(tensors, born)
        check_edited(taken, edits.all_removed, edits.all_added(born))
        index = PointIndex(self._device, voxel=self._grid.voxel)
        index._grid = Grid(self._grid.voxel, taken["grid/anchor"].clone())
        index._born, index._edits = born, edits
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
        store, edits = self._store, self._edits
        store.remove(edits.all_removed)
        store.mark_added(edits.all_added(self._born))
        met = (~(store.removed | store.added)).nonzero().squeeze(1)
        self._cells.claim(store.voxels.key[met].unique())
        self._cells.enter(met)
        row, seen = self._observations.of_all(self._numbers(0, len(self)))
        self._reach.replace(row, self._store.centres(seen), len(self))

    def _take_back(self, removed: Tensor, n: int) -> None:
        """Take back an edit, also half of one, before which there were ``n`` voxels."""
        self._store.truncate(n)
        self._store.bring_back(removed)
        self._cells.enter(removed)
        self._edits.trim()

    def _forget_anchor(self) -> None:
        if not len(self) and not len(self._store):
            self._grid = Grid(self._grid.voxel, torch.zeros_like(self._grid.anchor))

    def _voxels_of(self, cloud: Elements) -> Voxels:
        """Return the voxels of a cloud in the world; they are drawn as large as it leaves space between its points."""
        here = torch.eye(4, dtype=torch.float64)
        here[:3, 3] = cloud.position.double().mean(dim=0).cpu()
        own = (cloud.position.double().cpu() - here[:3, 3]).float()
        size = spacing_of(own) if cloud.radius is None else 2 * cloud.radius.cpu()
        own, color, size = (each.to(self._device) for each in (own, cloud.color, size))
        return gather(own, color, size, self._grid, here, observed=True)

    def _average(self, new: Voxels, old: Tensor) -> None:
        """Add the sums of new voxels to those of the old ones [n] in their cells."""
        before = self._store.voxels.select(old)
        open_ = (before.sums[:, 6] < MOST).nonzero().squeeze(1)
        new, before, old = new.select(open_), before.select(open_), old.index_select(0, open_)
        self._journal.note(old, before.sums, before.size)
        self._store.change(old, before.sums + new.sums, torch.minimum(before.size, new.size))
