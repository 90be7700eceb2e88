"""Which views a picture refers to: those that saw the same front-most points, each for one target (Spatia)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vmem_ros.memory.choice import Choice
from vmem_ros.memory.points.index import PointIndex


def match_references(counts: Tensor, limit: int | None = None, *, least: int = 1) -> Tensor:
    """Return for each target the view that refers to it, or -1: [T] int64.

    No view is taken twice, and together they share as many points with their targets as views can.

    :param counts: [T, V] int64: points that target t and view v share.
    :param limit: only the first so many targets that have a view get one; ``None``: all.
    :param least: a view that shares fewer points with a target has nothing to do with it.
    """
    counts = torch.where(counts >= least, counts, 0).cpu()
    target, view = (torch.from_numpy(index) for index in linear_sum_assignment(counts.numpy(), maximize=True))
    out = torch.full((len(counts),), -1, dtype=torch.int64)
    shares = counts[target, view] > 0
    out[target[shares]] = view[shares]
    if limit is not None:
        out[(out >= 0).cumsum(0) > limit] = -1
    return out


def choose_references(
    index: PointIndex, points: Sequence[Tensor], k: int, *, least_shared: float
) -> tuple[Choice, Tensor]:
    """Return at most ``k`` views that share points with some targets, and how many each view shares [V] int64.

    Targets and views are matched in rounds; after each, only points count that no chosen view saw. When the others show
    nothing more, those with most points of all come next.

    :param points: for each of T targets the distinct points [m] int64 that are front-most in it.
    :param least_shared: share of the points of a target that a view must have seen to refer to it.
    """
    views = len(index)
    least = torch.tensor([max(1, round(least_shared * len(each))) for each in points]).view(-1, 1)

    def shared(each: Sequence[Tensor]) -> Tensor:
        counts = torch.stack([index.shared(some) for some in each]).cpu() if each else torch.zeros(0, views)
        return torch.where(counts >= least, counts, 0).long()

    every = shared(points)
    total = every.sum(dim=0)
    left = every
    chosen: list[int] = []
    while len(chosen) < k:
        matched = match_references(left, k - len(chosen))
        if not len(new := matched[matched >= 0]):
            break
        chosen += new.tolist()
        if len(chosen) < k:
            left = shared([index.unseen(each, chosen) for each in points])
            left[:, chosen] = 0
    rest = total.clone()
    rest[chosen] = 0
    order = torch.argsort(rest, descending=True, stable=True)
    chosen += order[rest[order] > 0][: k - len(chosen)].tolist()
    weight = total[chosen]
    best = torch.argsort(weight, descending=True, stable=True)
    weights = weight[best].double() / weight.sum().clamp(min=1)
    return Choice([chosen[i] for i in best.tolist()], weights), total
