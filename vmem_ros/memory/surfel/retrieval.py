"""Which remembered views matter for a chunk of targets: surfels vote for the views that saw them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.memory.choice import Choice
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.surfel.splatting import Splat

#: How the K views are chosen among those with votes. ``votes``: most votes first; ``coverage``: most votes that no
#: chosen view has cast yet; ``nearest``: nearest pose first (what the published implementation does).
Selection = Literal["votes", "coverage", "nearest"]

# Votes are counted in integers, so that the sums are the same on every device.
_VOTE_UNIT = 1 << 16
_RELAXATION = 1.2
_LEAST_SUPPRESSION = 1e-5
#: With this many candidates the rest cannot win; it bounds the work of the greedy choice.
MAX_CANDIDATES = 256


def surfel_votes(splat: Splat, visible: Numbering, cosine: Tensor) -> Tensor:
    """Return the weights [m] int64 of the visible surfels: their pixels' ``cos / (1 + depth)``, in fixed-point units.

    :param cosine: [m] ``|n . v|`` of each towards the query camera.
    """
    seen = splat.ids >= 0
    number = visible.of(splat.ids[seen])
    pixel_weight = (cosine[number] / (1 + splat.depth[seen]) * _VOTE_UNIT).round().long()
    return torch.zeros_like(visible.elements).index_add_(0, number, pixel_weight)


def choose_views(
    votes: Tensor,
    weight: Tensor,
    observations: Observations,
    T_world_views: Tensor,
    T_world_query: Tensor,
    *,
    k: int,
    selection: Selection,
    suppression: float,
    candidates: int = MAX_CANDIDATES,
) -> Choice:
    """Return at most ``k`` views with votes, no two nearer to each other than ``suppression`` if that is possible.

    :param votes: [V] int64, sum of ``weight`` over the surfels each view saw.
    :param weight: [N] int64 weight of each surfel; changes meanwhile, and is as before in the end.
    :param T_world_views: [V, 4, 4] float64.
    :param suppression: geodesic distance (radians + 0.1 * metres). It is divided by 1.2 until ``k`` views are found.
    :param candidates: so many views, those with most votes, are looked at.
    """
    voted = votes.nonzero().squeeze(1)
    # A stable sort: of equally voted views the older comes first, on every device.
    order = torch.argsort(votes[voted], descending=True, stable=True)[:candidates]
    voted = voted[order]
    if not len(voted):
        return Choice([], voted.cpu().double())
    poses = T_world_views[voted.cpu()]
    first = -geodesic_distance(poses, T_world_query) if selection == "nearest" else votes[voted].cpu().double()
    cast: list[tuple[Tensor, Tensor]] = []

    def score(chosen: list[int]) -> Tensor:
        """Return how much each candidate is wanted [C] once some are chosen."""
        if selection != "coverage" or not chosen:
            return first
        seen = observations.of(int(voted[chosen[-1]]))
        cast.append((seen, weight.index_select(0, seen)))
        weight.index_fill_(0, seen, 0)
        return observations.sums(weight, voted).cpu().double()

    chosen = _greedy(score, poses, k=k, suppression=suppression)
    for seen, before in reversed(cast):
        weight.index_copy_(0, seen, before)
    views = voted[chosen.to(voted.device)]
    share = votes[views].cpu().double()
    return Choice(views.tolist(), share / share.sum())


def _greedy(score: Callable[[list[int]], Tensor], poses: Tensor, *, k: int, suppression: float) -> Tensor:
    """Return up to ``k`` rows by falling score, keeping a distance that shrinks until there are enough."""
    taken = torch.zeros(len(poses), dtype=torch.bool)
    nearest = torch.full((len(poses),), torch.inf, dtype=torch.float64)
    chosen: list[int] = []
    while len(chosen) < min(k, len(poses)):
        allowed = ~taken & (nearest >= suppression)
        if not bool(allowed.any()):
            suppression = suppression / _RELAXATION if suppression > _LEAST_SUPPRESSION else 0.0
            continue
        best = int(torch.where(allowed, score(chosen), -torch.inf).argmax())
        chosen.append(best)
        taken[best] = True
        if suppression > 0:
            nearest = torch.minimum(nearest, geodesic_distance(poses, poses[best]))
    return torch.tensor(chosen, dtype=torch.int64)
