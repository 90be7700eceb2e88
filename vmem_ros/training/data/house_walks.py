"""Walks through houses that are remembered on the way: what generators and autoencoders are trained on.

A walk begins with one view. Then, chunk by chunk as in :class:`vmem_ros.world.World`, memory is read for the poses of
the chunk, which gives the references and the projections, and the true views of the chunk are written. So everything
that the generator is told comes from the memory that it will work with.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.protocols import Memory
from vmem_ros.scenes import TRAINING_SEEDS, House, TimeOfDay
from vmem_ros.training.data.cache import T, TensorRecord
from vmem_ros.training.data.imperfection import imperfect_view
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import PointMap, Recall, Target, View

#: Kind of the memory that walks are remembered in.
MEMORY = "surfel"
#: References that memory is asked for.
RECALLED = 4
# Shares of the walks round the rooms, and there and back; the others are random walks.
_ROUND, _THERE_AND_BACK = 0.15, 0.15
#: Ranges of the height and the tilt of cameras.
HEIGHT_M, PITCH_RAD = (1.0, 1.6), (-0.15, 0.05)


@dataclass(frozen=True, eq=False)
class Walk(TensorRecord):
    """What one camera saw along a way through a house.

    :param images: [N, H, W, 3] uint8.
    :param K: [3, 3] float64, of all views.
    """

    images: Tensor
    K: Tensor

    @property
    def camera(self) -> Camera:
        """The camera of all views."""
        height, width = self.images.shape[1:3]
        return Camera(self.K, width, height)


@dataclass(frozen=True, eq=False)
class ViewWalk(Walk):
    """N views, of which view 0 begins and C chunks of M follow: N = 1 + C * M.

    :param poses: [N, 4, 4] float64, ``T_world_camera``.
    :param shown: [C * M, H, W, 3] uint8: projections of memory at views 1, 2, ... before their chunk was written.
    :param seen: [C * M, H, W] bool: where they show anything.
    :param depth: [C * M, H, W] float16 z-depth of the projections in metres, 0 in holes.
    :param recalled: [C, 4] int64: references that memory recalled for each chunk, best first; -1: it had no more.
    :param written: [N] int64: view i was in memory when chunk c was read if 0 <= written[i] <= c; -1: it was never
        written.
    """

    poses: Tensor
    shown: Tensor
    seen: Tensor
    depth: Tensor
    recalled: Tensor
    written: Tensor


class WalkFactory(ABC, Generic[T]):
    """Makes walks by number; equal numbers give equal walks.

    :param houses: seeds of the houses, which walks take in turn.
    :cvar name: of the folder of these walks in a cache.
    :cvar kind: their class.
    """

    name: str
    kind: type[T]

    def __init__(self, data: Data, *, houses: range = TRAINING_SEEDS) -> None:
        self._data = data
        self._houses = houses

    @abstractmethod
    def make(self, number: int) -> T:
        """Return walk ``number``."""

    def views(self, number: int) -> tuple[list[View], np.random.Generator]:
        """Return the true views with depth along walk ``number``, and the random numbers for what else it needs."""
        data = self._data
        seed = self._houses[number // data.walks_per_house % len(self._houses)]
        house = _house(seed, data.time_of_day)
        rng = np.random.default_rng((seed, 11, number))
        poses = _poses(house, data, rng)
        camera = Camera.from_fov(data.size[1], data.size[0], float(rng.uniform(*data.fov_deg)))
        rendering = house.render_batch(camera, poses, supersample=data.supersample)
        views = [
            View(image.contiguous(), camera, T, depth=depth.contiguous())
            for image, T, depth in zip(rendering.image, poses, rendering.depth, strict=True)
        ]
        return views, rng


class ViewWalkFactory(WalkFactory[ViewWalk]):
    """Makes walks with what memory showed and recalled on the way."""

    name, kind = "walks", ViewWalk

    def make(self, number: int) -> ViewWalk:
        """Return walk ``number``."""
        views, rng = self.views(number)
        return remember(views, self._data, rng)


@functools.lru_cache(maxsize=2)
def _house(seed: int, time_of_day: TimeOfDay) -> House:
    """Return a house; the last ones are kept, because their light takes as long to compute as many views."""
    return House(seed, time_of_day=time_of_day)


class MemoryWalk:
    """A walk that a memory goes along: it is read for each chunk, and then some chunks are written to it.

    :param views: [1 + C * M] with depth.
    :param memory: an empty one.
    :param prepare: returns what is written instead of a view.
    """

    def __init__(
        self,
        views: Sequence[View],
        memory: Memory,
        data: Data,
        rng: np.random.Generator,
        prepare: Callable[[View], View] = lambda view: view,
    ) -> None:
        self._views = views
        self._memory = memory
        self._data = data
        self._rng = rng
        self._prepare = prepare
        #: Which views are in memory, in its order.
        self.numbers: list[int] = []
        #: [N] int64, see :class:`ViewWalk`.
        self.written = torch.full((len(views),), -1, dtype=torch.int64)

    def readings(self) -> Iterator[Recall]:
        """Yield what memory recalls for each chunk before that is written."""
        data = self._data
        share = float(self._rng.uniform(*data.remembered))
        self._write(0, 1, 0)
        for chunk in range(data.chunks):
            first = 1 + chunk * data.chunk
            targets = [Target(v.camera, v.T_world_camera) for v in self._views[first : first + data.chunk]]
            yield self._memory.read(targets, RECALLED)
            if self._rng.uniform() < share:
                self._write(first, data.chunk, chunk + 1)

    def recalled(self, recall: Recall) -> Tensor:
        """Return the numbers of the views that memory recalled [4] int64, -1: it had no more."""
        found = [self.numbers[index] for index in recall.indices]
        return torch.tensor(found + [-1] * (RECALLED - len(found)))

    def _write(self, first: int, count: int, before_chunk: int) -> None:
        rng, chosen = self._rng, range(first, first + count)
        kept = [
            imperfect_view(self._views[i], rng) if rng.uniform() < self._data.imperfect else self._views[i]
            for i in chosen
        ]
        kept = [self._prepare(view) for view in kept]
        self._memory.write(kept, [true_geometry(view) for view in kept])
        self.numbers.extend(chosen)
        self.written[first : first + count] = before_chunk


def remember(views: list[View], data: Data, rng: np.random.Generator) -> ViewWalk:
    """Return the walk along views [1 + C * M] with depth, of which memory keeps some."""
    walk = MemoryWalk(views, load_memory(MEMORY), data, rng)
    recalled, shown, seen, depth = [], [], [], []
    for recall in walk.readings():
        recalled.append(walk.recalled(recall))
        shown += [projection.image for projection in recall.projections]
        seen += [projection.seen for projection in recall.projections]
        depth += [torch.where(p.seen, p.depth, 0).half() for p in recall.projections]
    return ViewWalk(
        images=torch.stack([view.image for view in views]),
        poses=torch.stack([view.T_world_camera for view in views]),
        K=views[0].camera.K,
        shown=torch.stack(shown),
        seen=torch.stack(seen),
        depth=torch.stack(depth),
        recalled=torch.stack(recalled),
        written=walk.written,
    )


def _poses(house: House, data: Data, rng: np.random.Generator) -> Tensor:
    """Return the poses [1 + C * M, 4, 4] of a walk: mostly at random, some round or there and back."""
    count = 1 + data.chunks * data.chunk
    height, pitch = float(rng.uniform(*HEIGHT_M)), float(rng.uniform(*PITCH_RAD))
    kind = rng.uniform()
    if kind < _ROUND:
        return house.loop(count, height=height, pitch=pitch)
    if kind < _ROUND + _THERE_AND_BACK:
        return house.out_and_back(count, height=height, pitch=pitch)
    step, seed = float(rng.uniform(*data.step_m)), int(rng.integers(1 << 31))
    return house.random_walk(count, seed, step=step, height=height, pitch=pitch)


def true_geometry(view: View) -> PointMap:
    """Return the geometry of a view of a house, all of it certain."""
    depth = true_depth(view)
    return PointMap.from_depth(depth, torch.ones_like(depth), view.camera, view.T_world_camera)


def true_depth(view: View) -> Tensor:
    """Return the depth [H, W] of a view of a house."""
    assert view.depth is not None, "views of houses have depth"
    return view.depth
