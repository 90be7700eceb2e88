"""What the network is told about a chunk of frames: poses, given latents, their content, and what memory shows.

A chunk is K reference frames, whose images are given, followed by M target frames. Frame 0 must be the reference
nearest to the targets: positions are scaled by its distance to the centre, and all rays are relative to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, as_pose, plucker_rays

# The published code adds this to the scale of positions, beside the division; its weights have learnt with it.
_PUBLISHED_OFFSET = 0.01
# Camera positions farther from the median than these are left out of the mean.
_OUTLIER_QUANTILE, _OUTLIER_FACTOR, _OUTLIER_MAX = 0.97, 10.0, 1e6
_AT_ORIGIN = 1e-5


def normalise_poses(T_world_camera: Tensor, *, camera_scale: float = 2.0, published_offset: bool = False) -> Tensor:
    """Return poses whose positions are centred and scaled as Stable Virtual Camera expects: [N, 4, 4] float64.

    The centre is the mean position without outliers (farther from the coordinate-wise lower median than 10 times the
    97 % quantile of these distances, or 1e6). Frame 0 comes to lie at distance ``camera_scale`` from it; where it lies
    in the centre, positions are multiplied by ``camera_scale``.

    :param T_world_camera: [N, 4, 4], frame 0 first.
    :param published_offset: add 0.01 to the factor, as VMem's released code does. For the published weights only.
    :raises InvalidPoseError: not poses.
    """
    T = as_pose(T_world_camera)
    positions = T[:, :3, 3]
    distances = torch.linalg.vector_norm(positions - positions.median(dim=0).values, dim=-1)
    limit = (_OUTLIER_FACTOR * torch.quantile(distances, _OUTLIER_QUANTILE)).clamp(max=_OUTLIER_MAX)
    centred = positions - positions[distances <= limit].mean(dim=0)
    radius = float(torch.linalg.vector_norm(centred[0]))
    factor = camera_scale
    if radius >= _AT_ORIGIN:
        factor = camera_scale / radius + (_PUBLISHED_OFFSET if published_offset else 0.0)
    T[:, :3, 3] = centred * factor
    return T


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the network is told about N frames, those of one chunk or more, in a latent grid of h x w.

    :param latents: [N, C, h, w] clean latents of given frames, zero elsewhere.
    :param given: [N] bool: frames whose latents are given.
    :param plucker: [N, 6, h, w] rays in the frame of the first camera (:func:`~vmem_ros.geometry.plucker_rays`).
    :param context: [N, 1, D] token for cross-attention.
    :param projection: [N, C + 1, h, w] latents of what memory shows and the share of each cell it shows, or ``None``.
    :param residual: the network sees and predicts the difference to what memory shows instead of the latents
        themselves. So a network that says nothing repeats memory, and one that errs a little is a little off.
    """

    latents: Tensor
    given: Tensor
    plucker: Tensor
    context: Tensor
    projection: Tensor | None = None
    residual: bool = False

    @classmethod
    def of_chunk(
        cls,
        latents: Tensor,
        embeddings: Tensor | None,
        cameras: Sequence[Camera],
        T_world_camera: Tensor,
        *,
        context_dim: int,
        projection: Tensor | None = None,
        residual: bool = False,
    ) -> Conditioning:
        """Return the conditioning of K references and M targets.

        :param latents: [K, C, h, w] of the references.
        :param embeddings: [K, D] of the references; their mean is the context of every frame. ``None``: a zero token.
        :param cameras: K + M cameras of images of any size; the latent grid spans the whole image.
        :param T_world_camera: [K + M, 4, 4] normalised poses.
        :param context_dim: D.
        :param projection: see the class, as ``residual``; [K + M, C + 1, h, w].
        """
        references, (height, width) = len(latents), latents.shape[-2:]
        targets = len(cameras) - references
        plucker = plucker_rays(list(cameras), T_world_camera, height=height, width=width).to(latents)
        token = latents.new_zeros(context_dim) if embeddings is None else embeddings.mean(dim=0).to(latents)
        return cls(
            latents=torch.cat([latents, latents.new_zeros(targets, *latents.shape[1:])]),
            given=torch.arange(len(cameras), device=latents.device) < references,
            plucker=plucker,
            context=token.expand(len(cameras), 1, -1),
            projection=projection,
            residual=residual,
        )

    @classmethod
    def of_chunks(cls, chunks: Sequence[Conditioning]) -> Conditioning:
        """Return the conditioning of the frames of several chunks of one network and size, one chunk after another."""
        shown = [each.projection for each in chunks if each.projection is not None]
        return cls(
            latents=torch.cat([each.latents for each in chunks]),
            given=torch.cat([each.given for each in chunks]),
            plucker=torch.cat([each.plucker for each in chunks]),
            context=torch.cat([each.context for each in chunks]),
            projection=torch.cat(shown) if shown else None,
            residual=chunks[0].residual,
        )

    def unconditional(self) -> Conditioning:
        """Return the same frames with nothing but their rays known."""
        return Conditioning(
            latents=torch.zeros_like(self.latents),
            given=torch.zeros_like(self.given),
            plucker=self.plucker,
            context=torch.zeros_like(self.context),
            projection=None if self.projection is None else torch.zeros_like(self.projection),
            residual=self.residual,
        )

    def place_given(self, sample: Tensor, scale: Tensor | float) -> Tensor:
        """Return what the network sees of ``sample`` [N, C, h, w], noisy latents divided by ``scale``.

        Given frames are there in their place, and :attr:`base` is taken off.
        """
        return torch.where(self._per_frame, self.latents.to(sample) / scale, sample) - self.base.to(sample) / scale

    @property
    def base(self) -> Tensor:
        """Latents [N, C, h, w] that predictions are differences to, or a scalar zero."""
        if not self.residual or self.projection is None:
            return self.latents.new_zeros(())
        return self.projection[:, :-1]

    @property
    def concat(self) -> Tensor:
        """Channels that the network sees after the latents: mask, rays, projection [N, 7 (+ C + 1), h, w]."""
        mask = self._per_frame.to(self.plucker).expand(-1, 1, *self.plucker.shape[-2:])
        parts = [mask, self.plucker]
        return torch.cat(parts if self.projection is None else [*parts, self.projection], dim=1)

    @property
    def _per_frame(self) -> Tensor:
        return self.given[:, None, None, None]


def projection_channels(latents: Tensor, seen: Tensor) -> Tensor:
    """Return what memory shows at N poses as channels [N, C + 1, h, w] of the latent grid.

    :param latents: [N, C, h, w] encoded projections, their holes filled before encoding.
    :param seen: [N, H, W] bool, H and W multiples of h and w; a cell's value is the share of its pixels that are seen.
    """
    height, width = latents.shape[-2:]
    share = torch.nn.functional.adaptive_avg_pool2d(seen[:, None].to(latents), (height, width))
    return torch.cat([latents, share], dim=1)
