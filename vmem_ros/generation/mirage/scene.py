"""What the network is told of each latent frame: the latents that memory shows there, and where it shows any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from vmem_ros.generation.mirage.options import Visibility
from vmem_ros.generation.wan.autoencoding import encode_clip, spatial_stride, temporal_stride
from vmem_ros.geometry.lifting import Lifted, grid_intrinsics, lift, masked_cells
from vmem_ros.geometry.warping import hidden_cells, warp
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection, Target, View


class Scene(NamedTuple):
    """What is shown of one frame.

    :param latents: [C, h, w], zero where nothing is.
    :param seen: [h, w] bool.
    """

    latents: Tensor
    seen: Tensor

    @classmethod
    def nothing(cls, shape: Sequence[int], device: torch.device) -> Scene:
        """Return the scene [C, h, w] that shows nothing."""
        return cls(torch.zeros(*shape, device=device), torch.zeros(*shape[1:], dtype=torch.bool, device=device))

    def under(self, other: Scene) -> Scene:
        """Return this scene with another one laid over it."""
        return Scene(torch.where(other.seen, other.latents, self.latents), self.seen | other.seen)


def scene_control(vae: Any, scenes: Sequence[Scene], visibility: Visibility) -> Tensor:
    """Return the control [1, 2 C, frames, h, w] of a network: the latents of each scene, and where there are some.

    :param vae: encodes the white pictures of ``constant``.
    """
    latents = torch.stack([scene.latents for scene in scenes], dim=1)[None].float()
    if visibility == "constant":
        channels, frames = latents.shape[1:3]
        height, width = (side * spatial_stride(vae) for side in latents.shape[3:])
        # Not the same everywhere: an autoencoder pads its pictures, and its first frame is another one.
        white = latents.new_ones((frames - 1) * temporal_stride(vae) + 1, 3, height, width)
        score = encode_clip(vae, white)
        assert score.shape[1] == channels, "the autoencoder is the one of the latents"
        return torch.cat([latents, score], dim=1)
    if visibility not in get_args(Visibility):
        raise ValueError(f"visibility must be one of {', '.join(get_args(Visibility))}, got {visibility!r}")
    missing = torch.stack([~scene.seen for scene in scenes])[None, None].to(latents)
    return torch.cat([latents, missing.expand_as(latents)], dim=1)


def own_scene(view: View, latents: Tensor) -> Scene:
    """Return what is shown at the pose of a view with latents [C, h, w]: these, where its depth is known."""
    lifted = lifted_of(view, latents)
    seen = lifted.mask.view(latents.shape[1:])
    return Scene(torch.where(seen, latents, 0), seen)


def lifted_of(view: View, latents: Tensor) -> Lifted:
    """Return the latents [C, h, w] of a view as points of the world, without cells of an observed view that know of
    pixels which are not to be remembered."""
    depth = torch.full(view.camera.size, torch.nan) if view.depth is None else view.depth
    lifted = lift(latents, depth.to(latents.device), view.camera.K, view.T_world_camera)
    if view.source == "observed" and view.confidence is not None:
        masked = masked_cells(view.confidence <= 0, *latents.shape[1:]).to(latents.device)
        lifted = lifted._replace(mask=lifted.mask & ~masked.flatten())
    return lifted


def remembered_scene(projection: Projection, shape: Sequence[int], device: torch.device) -> Scene:
    """Return the latents that memory shows at a target as a scene [C, h, w]; nothing if it has none, or others."""
    features, seen = projection.features, projection.features_seen
    if features is None or seen is None or len(features) != shape[0]:
        return Scene.nothing(shape, device)
    if features.shape[1:] != tuple(shape[1:]):
        # Of each cell the one that its middle lies in: a mean of latents is none.
        row, column = (
            ((torch.arange(new, device=features.device) + 0.5) * old / new).long()
            for new, old in zip(shape[1:], features.shape[1:], strict=True)
        )
        features, seen = features[:, row][:, :, column], seen[row][:, column]
    return Scene(features.to(device, torch.float32), seen.to(device))


def warped_scene(lifted: Lifted, target: Target, projection: Projection, shape: Sequence[int]) -> Scene:
    """Return lifted latents as a target sees them, without those that memory knows to be hidden."""
    camera, (_, height, width) = target.camera, shape
    K = grid_intrinsics(camera.K, camera.width, camera.height, width, height)
    shown = warp(lifted, K, target.T_world_camera, (height, width))
    depth, observed = projection.depth, projection.confidence > IMAGINED_CONFIDENCE
    hidden = hidden_cells(shown.depth.to(depth), depth, observed).to(shown.mask.device)
    seen = shown.mask & ~hidden
    return Scene(torch.where(seen, shown.features, 0), seen)
