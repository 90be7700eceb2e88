"""The latents that a target sees: those of the views that share most with it, warped, without what is hidden."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.geometry.lifting import grid_intrinsics
from vmem_ros.geometry.warping import hidden_cells, warp
from vmem_ros.memory.latent.index import LatentIndex
from vmem_ros.memory.view_store import ViewStore
from vmem_ros.types import Target

# Views are chosen in rounds, in each those that see most of what no view of a round before saw.
_A_ROUND = 4


def latents_at(
    index: LatentIndex,
    store: ViewStore,
    target: Target,
    ids: Tensor,
    depth: Tensor,
    *,
    observed: Tensor,
    most: int,
) -> tuple[Tensor, Tensor] | None:
    """Return the latents [C, h, w] and where there are some [h, w] bool; ``None`` if no view carries any.

    The grid lies over the picture as that of the newest view with latents does over its own; views whose latents have
    another number of channels, of another autoencoder, are left out.

    :param ids: [H, W] int64 samples that the target shows, or -1; with their depth [H, W].
    :param observed: [H, W] bool: a camera saw what is shown.
    :param most: so many views at most are warped.
    """
    carrying = index.tokens.channels.nonzero().squeeze(1)
    if not len(carrying):
        return None
    newest = store[int(carrying[-1])]
    assert newest.latent is not None, "tokens are of views with latents"
    height, width = (
        max(1, round(mine * cells / theirs))
        for mine, cells, theirs in zip(target.camera.size, newest.latent.shape[1:], newest.camera.size, strict=True)
    )
    features = newest.latent.new_zeros(len(newest.latent), height, width)
    chosen = _chosen(index, ids, index.tokens.channels == len(newest.latent), most)
    if not chosen:
        return features, torch.zeros(height, width, dtype=torch.bool, device=features.device)
    camera = target.camera
    K = grid_intrinsics(camera.K, camera.width, camera.height, width, height)
    cloud = index.tokens.of([(number, store[number]) for number in chosen])
    shown = warp(cloud, K, index.local(target.T_world_camera), (height, width))
    seen = shown.mask & ~hidden_cells(shown.depth.to(depth), depth, observed)
    return torch.where(seen, shown.features, 0), seen


def _chosen(index: LatentIndex, ids: Tensor, usable: Tensor, most: int) -> list[int]:
    """Return the usable [V] views that see most of what the samples ``ids`` are of, ascending: the oldest first."""
    voxels, _ = index.visible(ids.flatten())
    chosen: list[int] = []
    while len(chosen) < most and len(voxels):
        votes = torch.where(usable, index.voxels.votes(voxels, without=chosen).cpu(), 0)
        order = torch.argsort(votes, descending=True, stable=True)[: min(_A_ROUND, most - len(chosen))]
        new = order[votes[order] > 0].tolist()
        if not new:
            break
        chosen += new
    if len(chosen) < most:
        # What is left over shows the same once more, from elsewhere, and fills gaps between the others' points.
        votes = torch.where(usable, index.voxels.votes(voxels).cpu(), 0)
        votes[chosen] = 0
        order = torch.argsort(votes, descending=True, stable=True)[: most - len(chosen)]
        chosen += order[votes[order] > 0].tolist()
    return sorted(chosen)
