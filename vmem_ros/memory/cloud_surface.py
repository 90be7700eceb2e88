"""What clouds of points lack that are to be shown as surfaces: the space between points, and normals."""

from __future__ import annotations

import torch
from scipy.spatial import cKDTree
from torch import Tensor

# Neighbours whose mean distance is the space around a point, and those that a surface is fitted to.
_NEXT, _AROUND = 3, 9
# A point without neighbours is so wide, and none is narrower, in metres.
_ALONE_M, _NARROWEST_M = 0.05, 1e-4


def spacing_of(position: Tensor) -> Tensor:
    """Return how far each point [N, 3] is from its neighbours, in metres: [N] float32."""
    distance, _ = _neighbours(position, _NEXT + 1)
    if distance.shape[1] < 2:
        return torch.full((len(position),), _ALONE_M)
    return distance[:, 1:].mean(dim=1).clamp(min=_NARROWEST_M).float()


def normals_of(position: Tensor) -> Tensor:
    """Return normals [N, 3] float32 of planes through the neighbours of each point [N, 3]; either side may be front."""
    _, index = _neighbours(position, _AROUND)
    around = position.double().cpu()[index]
    around = around - around.mean(dim=1, keepdim=True)
    return torch.linalg.eigh(around.mT @ around).eigenvectors[..., 0].float()


def _neighbours(position: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the distances [N, k'] float64 and numbers [N, k'] of the nearest points, each itself first."""
    points = position.double().cpu().numpy()
    distance, index = cKDTree(points).query(points, k=list(range(1, min(k, len(points)) + 1)))
    return torch.from_numpy(distance), torch.from_numpy(index)
