"""Which views a memory returns, and with what weight; poses alone decide where nothing else tells them apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance


class Choice(NamedTuple):
    """Chosen views, best first, and their shares of what speaks for them, float64 (sum 1)."""

    views: list[int]
    weights: Tensor


def nearest_views(T_world_views: Tensor, T_world_query: Tensor, k: int) -> Choice:
    """Return the ``k`` views with the nearest poses, equally weighted: what is left when nothing is visible."""
    distance = geodesic_distance(T_world_views, T_world_query)
    views = torch.argsort(distance, stable=True)[:k]
    return Choice(views.tolist(), torch.full((len(views),), 1 / max(1, len(views)), dtype=torch.float64))


def fill_up(choice: Choice, T_world_views: Tensor, T_world_query: Tensor, k: int) -> Choice:
    """Return ``choice`` with the nearest other poses added up to ``k``: with weight 0, or equally if none has votes."""
    if not choice.views:
        return nearest_views(T_world_views, T_world_query, k)
    others = torch.ones(len(T_world_views), dtype=torch.bool)
    others[choice.views] = False
    index = others.nonzero().squeeze(1)
    near = nearest_views(T_world_views[index], T_world_query, k - len(choice.views)).views
    return Choice(choice.views + index[near].tolist(), torch.nn.functional.pad(choice.weights, (0, len(near))))
