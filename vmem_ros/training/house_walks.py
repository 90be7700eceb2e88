"""A walk through a house that is remembered on the way: what a generator is trained on.

A walk begins with one view. Then, chunk by chunk as in :class:`vmem_ros.world.World`, memory is read for the poses of
the chunk, which gives the references and what memory shows there, and the true views of the chunk are written. So
everything that the generator is told comes from the memory that it will work with.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.scenes import TRAINING_SEEDS, House, TimeOfDay
from vmem_ros.training.cache import T, TensorRecord
from vmem_ros.training.imperfection import imperfect_view
from vmem_ros.training.recipes import Data
from vmem_ros.types import PointMap, Target, View

#: References that memory is asked for.
RECALLED = 4
_ROUND, _THERE_AND_BACK = 0.15, 0.15
_HEIGHT_M, _PITCH_RAD = (1.0, 1.6), (-0.15, 0.05)


@dataclass(frozen=True, eq=False)
class WalkImages(TensorRecord):
    """What one camera saw along a walk.

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
class Walk(WalkImages):
    """N views, of which view 0 begins and C chunks of M follow: N = 1 + C * M.

    :param poses: [N, 4, 4] float64, ``T_world_camera``.
    :param shown: [C * M, H, W, 3] uint8: what memory showed at views 1, 2, ... before their chunk was written.
    :param seen: [C * M, H, W] bool: where it showed anything.
    :param depth: [C * M, H, W] float16 of what it showed, in metres, 0 elsewhere.
    :param recalled: [C, 4] int64: views that memory recalled for each chunk, best first; -1: it had no more.
    :param written: [N] int64: views of chunks 0, 1, ... are written once the chunk before is done: view i is
        remembered for chunk c if 0 <= written[i] <= c; -1: never.
    """

    poses: Tensor
    shown: Tensor
    seen: Tensor
    depth: Tensor
    recalled: Tensor
    written: Tensor


class Maker(ABC, Generic[T]):
    """Makes walks by number; equal numbers give equal walks.

    :param houses: seeds of the houses, the walks' numbers from 0 on.
    :cvar name: what caches call the walks.
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
        """Return the true views with depth along walk ``number``, and what the rest of it is drawn with."""
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


class WalkMaker(Maker[Walk]):
    """Makes the walks that generators and autoencoders are trained on."""

    name, kind = "walks", Walk

    def make(self, number: int) -> Walk:
        """Return walk ``number``."""
        views, rng = self.views(number)
        return remember(views, self._data, rng)


@functools.lru_cache(maxsize=2)
def _house(seed: int, time_of_day: TimeOfDay) -> House:
    """Return a house; the last ones are kept, because their light takes as long as many views."""
    return House(seed, time_of_day=time_of_day)


def remember(views: list[View], data: Data, rng: np.random.Generator) -> Walk:
    """Return the walk along views [1 + C * M] with depth, of which memory keeps some."""
    memory = SurfelMemory()
    numbers: list[int] = []
    written = torch.full((len(views),), -1, dtype=torch.int64)
    share = float(rng.uniform(*data.remembered))

    def write(first: int, count: int, before_chunk: int) -> None:
        chosen = range(first, first + count)
        kept = [imperfect_view(views[i], rng) if rng.uniform() < data.imperfect else views[i] for i in chosen]
        memory.write(kept, [true_geometry(view) for view in kept])
        numbers.extend(chosen)
        written[first : first + count] = before_chunk

    write(0, 1, 0)
    recalled, shown, seen, depth = [], [], [], []
    for chunk in range(data.chunks):
        first = 1 + chunk * data.chunk
        recall = memory.read([Target(v.camera, v.T_world_camera) for v in views[first : first + data.chunk]], RECALLED)
        found = [numbers[index] for index in recall.indices]
        recalled.append(torch.tensor(found + [-1] * (RECALLED - len(found))))
        shown += [projection.image for projection in recall.projections]
        seen += [projection.seen for projection in recall.projections]
        depth += [torch.where(p.seen, p.depth, 0).half() for p in recall.projections]
        if rng.uniform() < share:
            write(first, data.chunk, chunk + 1)
    return Walk(
        images=torch.stack([view.image for view in views]),
        poses=torch.stack([view.T_world_camera for view in views]),
        K=views[0].camera.K,
        shown=torch.stack(shown),
        seen=torch.stack(seen),
        depth=torch.stack(depth),
        recalled=torch.stack(recalled),
        written=written,
    )


def _poses(house: House, data: Data, rng: np.random.Generator) -> Tensor:
    """Return the poses [1 + C * M, 4, 4] of a walk: mostly at random, some round or there and back."""
    count = 1 + data.chunks * data.chunk
    height, pitch = float(rng.uniform(*_HEIGHT_M)), float(rng.uniform(*_PITCH_RAD))
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
