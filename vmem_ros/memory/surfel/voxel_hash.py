"""Nearest similar surfel in constant time: a hash of voxels whose size follows the surfels.

A surfel lives in a voxel about twice as wide as its own merge distance, so fine and coarse surfels lie on different
levels and no voxel holds more than a few. A table knows the newest surfel of each voxel; the surfels of one voxel form
a chain from there. Everything is vectorised over the points of a view: loops run over levels and chain links.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from vmem_ros.kernels import usable
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.hash_table import EMPTY, GOLDEN, HashTable
from vmem_ros.memory.surfel import compiled_matching as compiled
from vmem_ros.memory.surfel.surfels import SurfelCloud

_NOTHING = torch.iinfo(torch.int64).max
# Voxel coordinates are packed with this many bits an axis, around zero: 260,000 voxels each way, far beyond the
# precision of float32 positions at any level.
_COORDINATE_BITS = 19
_COORDINATE_BIAS = 1 << (_COORDINATE_BITS - 1)
_LOWEST_LEVEL, _HIGHEST_LEVEL = -24, 15
# A new surfel meets old ones that are up to 8 times finer or twice as coarse: what is much coarser than the new
# surfel must not swallow its detail, and what is much finer is searched by the surfels of its own size.
_LEVELS_SEARCHED = range(-3, 2)


class VoxelHash:
    """Finds, for new surfels, the nearest old surfel that is close enough and faces the same way.

    Two surfels match when their centres are within ``merge_factor`` times the *smaller* of their radii and the cosine
    of their normals exceeds ``min_cosine``. The smaller radius, because dropping a fine surfel for a coarse one
    beside it would lose detail. One that a camera has seen never matches one that was only imagined: it stays, and
    hides it.
    """

    def __init__(self, device: torch.device, *, merge_factor: float, min_cosine: float) -> None:
        self._device = device
        self._merge_factor = merge_factor
        self._min_cosine = min_cosine
        corners = torch.tensor([0, 1], device=device)
        octants = torch.cartesian_prod(corners, corners, corners)
        #: What to add to a key to get the keys of the 2 x 2 x 2 voxels above it.
        self._octant = (octants << (_COORDINATE_BITS * torch.tensor([2, 1, 0], device=device))).sum(dim=-1)
        #: The newest surfel of each voxel.
        self._heads = HashTable(device)
        self._next = GrowableTensor((), torch.int32, self._device)
        #: What the compiled search is told of the places where there are voxels, and the keys from which it follows.
        self._cubes = torch.zeros(0, dtype=torch.int64, device=device)
        self._noted: Tensor | None = None
        #: Bit l: there are voxels of level ``_LOWEST_LEVEL + l``.
        self._levels = 0

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._heads.nbytes + self._next.nbytes + self._cubes.nbytes

    def find(self, new: SurfelCloud, old: SurfelCloud, *, barred: Tensor | None = None) -> Tensor:
        """Return for each new surfel the index of the nearest matching old one, or -1: [M] int64.

        :param new: M surfels, not inserted yet.
        :param old: all surfels inserted so far. Of equally near ones, the oldest is returned.
        :param barred: [N] bool: old surfels that match nothing.
        """
        if library := usable(new.position, old.position):
            return compiled.match(library, new, old, self._voxels(library), barred)
        own_level = self._level(new.radius)
        levels = [
            level for level in range(_LOWEST_LEVEL, _HIGHEST_LEVEL + 1) if self._levels >> level - _LOWEST_LEVEL & 1
        ]
        best = torch.full((len(new),), _NOTHING, dtype=torch.int64, device=self._device)
        for offset in _LEVELS_SEARCHED:
            level = own_level + offset
            rows = torch.isin(level, torch.tensor(levels, device=self._device)).nonzero().squeeze(1)
            if len(rows):
                self._search(new, old, rows, level.index_select(0, rows), best, barred)
        return torch.where(best == _NOTHING, -1, best & 0xFFFFFFFF)

    def insert(self, surfels: SurfelCloud, first_index: int) -> None:
        """Insert surfels numbered ``first_index, first_index + 1, ...`` in their order."""
        if len(surfels) == 0:
            return
        if library := usable(surfels.position):
            self._heads.make_room(len(surfels))
            self._next.extend(len(surfels))
            taken, levels = compiled.insert(
                library, surfels.position, surfels.radius, first_index, self._voxels(library)
            )
            self._heads.taken(taken)
            self._levels |= levels
            return
        level = self._level(surfels.radius)
        self._levels |= sum(1 << (present - _LOWEST_LEVEL) for present in level.unique().tolist())
        key = self._key(torch.floor(surfels.position / torch.exp2(level)[:, None]), level)
        cells, cell_of = torch.unique(key, return_inverse=True)
        slots = self._heads.claim(cells)
        self._noted = None

        order = torch.argsort(cell_of, stable=True)
        cell_sorted = cell_of[order]
        index_sorted = (order + first_index).int()
        starts = torch.ones_like(cell_sorted, dtype=torch.bool)
        starts[1:] = cell_sorted[1:] != cell_sorted[:-1]
        link = torch.empty_like(index_sorted)
        link[1:] = index_sorted[:-1]
        link[starts] = self._heads.rows[slots]
        following = torch.empty_like(link)
        following[order] = link
        self._next.append(following)
        ends = torch.ones_like(starts)
        ends[:-1] = starts[1:]
        self._heads.rows[slots] = index_sorted[ends]

    def remove_from(self, length: int, surfels: SurfelCloud) -> None:
        """Forget the surfels numbered ``length`` and up, which are the newest.

        :param surfels: those surfels. A write that failed half-way may have stored some that were never inserted.
        """
        inserted = len(self._next) - length
        if inserted > 0:
            position, level = surfels.position[:inserted], self._level(surfels.radius[:inserted])
            key = self._key(torch.floor(position / torch.exp2(level)[:, None]), level)
            slots = self._heads.find(torch.unique(key))
            heads = self._heads.rows[slots].long()
            while bool((gone := heads >= length).any()):
                heads[gone] = self._next.data[heads[gone]].long()
            self._heads.rows[slots] = heads.int()
        self._next.truncate(length)

    def _voxels(self, library: ctypes.CDLL) -> compiled.Voxels:
        """Return what the compiled search is told."""
        renewed = self._noted is not self._heads.keys
        if renewed:
            self._cubes = torch.zeros(len(self._heads.keys) // 64, dtype=torch.int64)
        voxels = compiled.Voxels(
            keys=self._heads.keys,
            heads=self._heads.rows,
            next=self._next.data,
            cubes=self._cubes,
            empty=EMPTY,
            golden=GOLDEN,
            levels=self._levels,
            lowest=_LOWEST_LEVEL,
            highest=_HIGHEST_LEVEL,
            coordinate_bits=_COORDINATE_BITS,
            first_offset=_LEVELS_SEARCHED[0],
            last_offset=_LEVELS_SEARCHED[-1],
            merge_factor=self._merge_factor,
            two_merge_factors=2 * self._merge_factor,
            min_cosine=self._min_cosine,
        )
        if renewed:
            compiled.note_voxels(library, voxels)
            self._noted = voxels.keys
        return voxels

    def _level(self, radius: Tensor) -> Tensor:
        """Return log2 of the voxel side: the smallest that is at least twice the merge distance."""
        # The exponent of the float, rounded up: exact, unlike its logarithm.
        side = (2 * self._merge_factor * radius).view(torch.int32)
        return ((side + 0x7FFFFF >> 23) - 127).clamp(_LOWEST_LEVEL, _HIGHEST_LEVEL)

    def _key(self, coordinates: Tensor, level: Tensor) -> Tensor:
        """Pack voxel coordinates [n, 3], whole numbers as float32, and levels [n] into int64 keys [n]."""
        x, y, z = (coordinates.clamp(1 - _COORDINATE_BIAS, _COORDINATE_BIAS - 2).long() + _COORDINATE_BIAS).unbind(-1)
        packed = (level.long() - _LOWEST_LEVEL) << (3 * _COORDINATE_BITS)
        return packed | (x << (2 * _COORDINATE_BITS)) | (y << _COORDINATE_BITS) | z

    def _search(
        self,
        new: SurfelCloud,
        old: SurfelCloud,
        rows: Tensor,
        level: Tensor,
        best: Tensor,
        barred: Tensor | None,
    ) -> None:
        """Lower ``best[rows]`` (packed squared distance and index) by the matches on one level of each row."""
        position = new.position.index_select(0, rows)
        # The ball around a point is not wider than a voxel, so it meets only the eight around the nearest corner.
        corner = self._key(torch.floor(position / torch.exp2(level)[:, None] - 0.5), level)
        slot = self._heads.find((corner[:, None] + self._octant).flatten())
        hit = slot >= 0
        row = rows[:, None].expand(-1, 8).flatten()[hit]
        index = self._heads.rows[slot[hit]].long()
        while len(index):
            alive = (index >= 0).nonzero().squeeze(1)
            row, index = row.index_select(0, alive), index.index_select(0, alive)
            x, y, z = (new.position.index_select(0, row) - old.position.index_select(0, index)).unbind(-1)
            squared = x * x + y * y + z * z
            smaller = torch.minimum(new.radius.index_select(0, row), old.radius.index_select(0, index))
            reach = self._merge_factor * smaller
            near = (squared <= reach * reach).nonzero().squeeze(1)
            row_near, index_near = row.index_select(0, near), index.index_select(0, near)
            cosine = (new.normal.index_select(0, row_near) * old.normal.index_select(0, index_near)).sum(dim=-1)
            match = cosine > self._min_cosine
            match &= new.provenance.index_select(0, row_near) <= old.provenance.index_select(0, index_near)
            if barred is not None:
                match &= ~barred.index_select(0, index_near)
            packed = (squared.index_select(0, near).view(torch.int32).long() << 32) | index_near
            best.scatter_reduce_(0, row_near, torch.where(match, packed, _NOTHING), "amin")
            index = self._next.data.index_select(0, index).long()
