"""Pictures from samples and stored views: samples say where a surface is, the views near by what it looks like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.memory.blending import Blended, Shown, blend_views
from vmem_ros.memory.exposure import shown_exposure
from vmem_ros.memory.latent.index import LatentIndex
from vmem_ros.memory.square_splatting import Splat
from vmem_ros.memory.view_store import ViewStore
from vmem_ros.types import Target

# Views that are blended, and those with most votes among which they are chosen by their poses.
_BLENDED, _CANDIDATES = 4, 64
# Every fourth pixel of every fourth row is enough to choose a few views.
_SPARSE = 4


def blend(index: LatentIndex, store: ViewStore, rendered: Splat, imagined: Tensor, target: Target) -> Blended:
    """Return what the stored views show at the samples of a target.

    :param imagined: [H, W] bool: no camera has seen what is there.
    """
    voxels, counts = index.visible(rendered.ids[::_SPARSE, ::_SPARSE].flatten())
    votes = index.voxels.votes(voxels, counts).cpu()
    nearest = _nearest(torch.where(store.observed, votes, 0), store.poses, target)
    drawn = _nearest(torch.where(store.observed, 0, votes), store.poses, target)
    # What the nearest do not show, others do.
    covering: list[int] = []
    for _ in range(_BLENDED if nearest else 0):
        left = index.voxels.votes(voxels, counts, without=[*nearest, *covering]).cpu()
        left = torch.where(store.observed, left, 0)
        if not int(left.max()):
            break
        covering.append(int(left.argmax()))
    groups = [nearest, covering, drawn]
    leading = next((group for group in groups if group), [])
    shown = shown_exposure(store.exposures[leading], store.poses[leading], target.T_world_camera)
    return blend_views(
        [_with_gains(group, store, shown) for group in groups],
        target.camera,
        target.T_world_camera,
        rendered.depth,
        imagined,
    )


def _nearest(votes: Tensor, poses: Tensor, target: Target) -> list[int]:
    """Return the views with the nearest poses among those with most votes [V], nearest first."""
    voted = votes.nonzero().squeeze(1)
    # A stable sort: of equally voted views the older comes first, on every device.
    voted = voted[torch.argsort(votes[voted], descending=True, stable=True)[:_CANDIDATES]]
    order = torch.argsort(geodesic_distance(poses[voted], target.T_world_camera), stable=True)
    return voted[order[:_BLENDED]].tolist()


def _with_gains(views: Sequence[int], store: ViewStore, shown: Tensor) -> list[Shown]:
    exposures, sharpness = store.exposures, store.sharpness
    return [Shown(store[i], (shown - exposures[i]).exp(), float(sharpness[i])) for i in views]
