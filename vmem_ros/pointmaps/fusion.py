"""Depth of the views of a chunk made to agree: where several of them see one surface, it is the mean of what they say.

Written one beside the other, surfaces that differ by a few per cent would be remembered as several, of which the
nearest is seen: memory would shrink a little with every chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vmem_ros.geometry import Camera
from vmem_ros.pointmaps.prediction import DepthPrediction
from vmem_ros.pointmaps.robust import WIDTH, geman_mcclure, spread
from vmem_ros.pointmaps.view_grid import Pairs, ViewGrid
from vmem_ros.types import Projection

_SIDE, _SPARSE = 128, 7
# Differences of log depth are never believed to spread less.
_LEAST_SPREAD = 0.005
# Another view sees through a point if it sees something so much (log depth) behind it.
_BEHIND = 0.1


@dataclass(frozen=True, eq=False)
class Agreement:
    """What M views say of each other.

    :param correction: M maps [H, W] to add to log depth.
    :param refuted: M maps [H, W] bool: more views see through the point than support it.
    """

    correction: list[Tensor]
    refuted: list[Tensor]


def agree(
    predictions: Sequence[DepthPrediction],
    projections: Sequence[Projection],
    cameras: Sequence[Camera],
    T_world_camera: Tensor,
) -> Agreement:
    """Return what brings aligned predictions of M views together.

    A point of view i, moved into view j, has the depth that j predicts there or another. Differences that are no larger
    than usual move i to the mean of what the views say; each view moves by its share, so afterwards all say the same.

    :param T_world_camera: [M, 4, 4] float64.
    """
    grid = ViewGrid.of(predictions, projections, cameras, side=_SIDE)
    count = len(grid.inverse)
    total, mass = torch.zeros_like(grid.inverse), grid.weight.clone()
    support, through = torch.zeros_like(total), torch.zeros_like(total)
    pairs = Pairs(grid, T_world_camera)
    if len(pairs):
        met = pairs.meet(1 / grid.inverse)
        difference = torch.where(met.valid, -met.inverse.log() - met.log_depth, torch.nan)
        # A part of the samples is enough for a median.
        typical = torch.nan_to_num(spread(difference[:, ::_SPARSE]), nan=0.0).clamp(min=_LEAST_SPREAD)
        reach = WIDTH * typical
        weight = torch.nan_to_num(met.weight, nan=0.0) * geman_mcclure(difference, typical)
        total.index_add_(0, pairs.first, weight * torch.nan_to_num(difference, nan=0.0))
        mass.index_add_(0, pairs.first, weight)
        support.index_add_(0, pairs.first, (difference.abs() < reach).double())
        through.index_add_(0, pairs.first, (difference > reach.clamp(min=_BEHIND)).double())
    correction = (total / mass.clamp(min=1e-9)).view(count, 1, *grid.shape)
    refuted = (through > support).view(count, 1, *grid.shape).double()
    shapes = [camera.size for camera in cameras]
    return Agreement(
        [_resize(each, shape, "bilinear").float() for each, shape in zip(correction, shapes, strict=True)],
        [_resize(each, shape, "nearest-exact") > 0 for each, shape in zip(refuted, shapes, strict=True)],
    )


def _resize(values: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Return values [1, h, w] in another (height, width): [H, W]."""
    if tuple(values.shape[1:]) == size:
        return values[0]
    resized: Tensor = interpolate(values[None], size, mode=mode)[0, 0]
    return resized
