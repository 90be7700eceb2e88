"""Recalls of a room whose projections have holes."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from vmem_ros.types import Projection, Recall


def with_hole(projection: Projection, hole: Tensor) -> Projection:
    """Return a projection that shows nothing where ``hole`` [H, W] bool is."""
    return dataclasses.replace(
        projection,
        image=projection.image * ~hole[..., None],
        depth=torch.where(hole, torch.nan, projection.depth),
        seen=projection.seen & ~hole,
        ids=torch.where(hole, -1, projection.ids),
        confidence=projection.confidence * ~hole,
    )


def left_third_missing(recall: Recall) -> Recall:
    """Return a recall whose projections show nothing of their left third."""
    out = []
    for projection in recall.projections:
        hole = torch.zeros_like(projection.seen)
        hole[:, : hole.shape[1] // 3] = True
        out.append(with_hole(projection, hole))
    return dataclasses.replace(recall, projections=tuple(out))
