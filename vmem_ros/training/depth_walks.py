"""Walks through houses as the depth network is trained on them: pictures, true depth, and what memory showed of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vmem_ros.memory import SurfelMemory
from vmem_ros.scenes import EVALUATION_SEEDS, TRAINING_SEEDS
from vmem_ros.training.cache import Cache, cache_folder
from vmem_ros.training.imperfection import imperfect_view
from vmem_ros.training.recipes import Data
from vmem_ros.training.walks import WalkImages, WalkMaker, true_depth, true_geometry
from vmem_ros.types import Target


@dataclass(frozen=True, eq=False)
class DepthWalk(WalkImages):
    """N views along a walk.

    :param depth: [N, H, W] float16 z-depth in metres; +Inf where nothing is.
    :param remembered: [N, H, W] float16 depth that memory showed before the view was written; NaN where it showed none.
    """

    depth: Tensor
    remembered: Tensor


class DepthWalkMaker:
    """Makes walks by number, along the poses of :class:`~vmem_ros.training.walks.WalkMaker`.

    :param houses: seeds of the houses, the walks' numbers from 0 on.
    """

    def __init__(self, data: Data, *, houses: range = TRAINING_SEEDS) -> None:
        self._data = data
        self._maker = WalkMaker(data, houses=houses)

    def make(self, number: int) -> DepthWalk:
        """Return walk ``number``; equal numbers give equal walks."""
        views, rng = self._maker.views(number)
        memory = SurfelMemory()
        share = float(rng.uniform(*self._data.remembered))
        remembered = []
        for start in range(0, len(views), self._data.chunk):
            chunk = views[start : start + self._data.chunk]
            remembered += [memory.project(Target(v.camera, v.T_world_camera)).depth for v in chunk]
            if rng.uniform() < share:
                kept = [imperfect_view(v, rng) if rng.uniform() < self._data.imperfect else v for v in chunk]
                memory.write(kept, [true_geometry(v) for v in kept])
        return DepthWalk(
            images=torch.stack([view.image for view in views]),
            depth=torch.stack([true_depth(view) for view in views]).half(),
            remembered=torch.stack(remembered).half(),
            K=views[0].camera.K,
        )


@dataclass(frozen=True)
class DepthCaches:
    """Opens the cache of walks; picklable, for the processes that fill it.

    :param root: folder of all caches.
    """

    root: Path
    data: Data

    def __call__(self) -> list[Cache[Any]]:
        return [Cache(_folder(self.root, self.data, "depth"), DepthWalkMaker(self.data).make, DepthWalk)]


def evaluation_depth_walks(root: Path, data: Data, count: int) -> list[DepthWalk]:
    """Return walks through as many evaluation houses, of perfect views; kept like those for training."""
    data = dataclasses.replace(data, walks_per_house=1, imperfect=0.0)
    maker = DepthWalkMaker(data, houses=EVALUATION_SEEDS)
    cache = Cache(_folder(root, data, "depth-evaluation"), maker.make, DepthWalk)
    return [cache.get(number) for number in range(count)]


def _folder(root: Path, data: Data, kind: str) -> Path:
    folder = cache_folder(root, data)
    return folder.with_name(f"{kind}-{folder.name}")
