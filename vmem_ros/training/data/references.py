"""Which remembered views of a walk a network is told, and how they are disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vmem_ros.geometry import geodesic_distance

# Random references are drawn from so many remembered views, the nearest to the targets.
_NEARBY = 12


class RememberedWalk(Protocol):
    """What a memory kept and recalled along a walk; see :class:`~vmem_ros.training.data.house_walks.ViewWalk`."""

    @property
    def poses(self) -> Tensor: ...

    @property
    def recalled(self) -> Tensor: ...

    @property
    def written(self) -> Tensor: ...


def remembered_before(walk: RememberedWalk, chunk: int) -> Tensor:
    """Return the numbers of the views that are in memory when it is read for a chunk, in its order."""
    return ((walk.written >= 0) & (walk.written <= chunk)).nonzero().squeeze(1)


def draw_chunk(walk: RememberedWalk, views: int, rng: np.random.Generator, *, goes_on: int | None = None) -> int:
    """Return the number of a chunk for which so many views are remembered, or of the last one if there is none.

    :param goes_on: views of a chunk; only chunks right after one that is remembered are wanted.
    """
    chunks = range(len(walk.recalled))
    enough = [
        chunk
        for chunk in chunks
        if len(known := remembered_before(walk, chunk)) >= views and (not goes_on or int(known[-1]) == chunk * goes_on)
    ]
    return int(rng.choice(enough or [len(chunks) - 1]))


def draw_references(
    walk: RememberedWalk,
    chunk: int,
    count: int,
    T_world_targets: Tensor,
    rng: np.random.Generator,
    *,
    recalled: bool,
    without: Sequence[int] = (),
) -> list[int]:
    """Return views of the walk that are remembered for a chunk: those that memory recalled, or random ones nearby.

    :param without: views that are told otherwise, unless there are no others.
    """
    remembered = remembered_before(walk, chunk)
    others = remembered[~torch.isin(remembered, torch.tensor(without, dtype=torch.int64))]
    remembered = others if len(others) else remembered
    known = set(remembered.tolist())
    chosen = [index for index in walk.recalled[chunk].tolist() if index in known][:count] if recalled else []
    rest = remembered[~torch.isin(remembered, torch.tensor(chosen, dtype=torch.int64))]
    if len(chosen) < count and len(rest):
        distance = geodesic_distance(walk.poses[rest], T_world_targets)
        nearby = rest[torch.argsort(distance, stable=True)[:_NEARBY]].numpy()
        chosen += rng.permutation(nearby)[: count - len(chosen)].tolist()
    # A walk that remembers fewer gives some of them again.
    return (chosen * count)[:count]


def disturbed(latents: Tensor, rng: np.random.Generator, *, noise: float, blur: bool = False) -> Tensor:
    """Return latents [N, C, h, w] as imperfect as generated ones.

    :param noise: largest standard deviation of the noise on them.
    :param blur: by half a cell.
    """
    if blur:
        latents = (latents + F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)) / 2
    deviation = float(rng.uniform(0, noise))
    return latents + deviation * torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
