"""Walks through houses as the depth network is trained on them: images, true depth, and what memory showed of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.memory import load_memory
from vmem_ros.training.data.house_walks import MEMORY, Walk, WalkFactory, true_depth, true_geometry
from vmem_ros.training.data.imperfection import imperfect_view
from vmem_ros.types import Target


@dataclass(frozen=True, eq=False)
class DepthWalk(Walk):
    """N views along a walk.

    :param depth: [N, H, W] float16 z-depth in metres; +Inf where nothing is.
    :param remembered: [N, H, W] float16 z-depth in metres that memory showed before the view was written; NaN in holes.
    """

    depth: Tensor
    remembered: Tensor


class DepthWalkFactory(WalkFactory[DepthWalk]):
    """Makes walks with true depth and the depth that memory showed on the way."""

    name, kind = "depth-walks", DepthWalk

    def make(self, number: int) -> DepthWalk:
        """Return walk ``number``."""
        views, rng = self.views(number)
        memory = load_memory(MEMORY)
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
