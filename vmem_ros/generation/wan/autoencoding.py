"""Between pictures and latent frames: one call for autoencoders of videos (AutoencoderKLWan) and of single pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vmem_ros.generation.vmem import autoencoding as of_pictures


def temporal_stride(vae: Any) -> int:
    """Return how many pictures a latent frame stands for, but for the first; 1 where each has its own."""
    return int(vae.config.scale_factor_temporal) if is_video(vae) else 1


def spatial_stride(vae: Any) -> int:
    """Return the size of a picture as a multiple of that of its latents."""
    return int(vae.config.scale_factor_spatial) if is_video(vae) else of_pictures.downsampling(vae)


def latent_channels(vae: Any) -> int:
    """Return C."""
    return int(vae.config.z_dim if is_video(vae) else vae.config.latent_channels)


def is_video(vae: Any) -> bool:
    """Return whether an autoencoder takes [N, 3, F, H, W], as that of Wan does."""
    return "scale_factor_temporal" in vae.config


def encode_clip(vae: Any, pictures: Tensor) -> Tensor:
    """Return latents [1, C, f, h, w] float32, of about unit variance, of a clip of stride * k + 1 pictures.

    Of a distribution the mean is taken: what is known is not to be noisy.

    :param pictures: [F, 3, H, W] in [-1, 1], on the device of the autoencoder.
    """
    if not is_video(vae):
        return of_pictures.encode(vae, pictures).movedim(0, 1)[None]
    latents = vae.encode(pictures.to(vae.dtype).movedim(0, 1)[None]).latent_dist.mode().float()
    mean, deviation = _statistics(vae, latents)
    return (latents - mean) / deviation


def encode_singly(vae: Any, pictures: Tensor) -> Tensor:
    """Return latents [1, C, N, h, w] of N pictures that are no clip."""
    return torch.cat([encode_clip(vae, picture[None]) for picture in pictures], dim=2)


def encode_control(vae: Any, scene: Tensor, coverage: Tensor | None = None) -> Tensor:
    """Return what the control stream is told [1, 2 C, f, h, w]: latents of the scene, and of how much of it is missing.

    As published, the scene is in -1 ... 1, but what is missing is in 0 ... 1.

    :param scene: [F, 3, H, W] in [-1, 1], -1 where memory shows nothing.
    :param coverage: [F, H, W] in 0 ... 1, how much of each pixel memory shows; ``None``: nothing counts as shown.
    """
    missing = torch.ones_like(scene)
    if coverage is not None:
        missing = missing - coverage[:, None]
    return torch.cat([encode_clip(vae, scene), encode_clip(vae, missing)], dim=1)


def decode_clip(vae: Any, latents: Tensor) -> Tensor:
    """Return pictures [F, 3, H, W] float32, about in [-1, 1], of latents [1, C, f, h, w] of one clip."""
    if not is_video(vae):
        return of_pictures.decode(vae, latents[0].movedim(0, 1))
    mean, deviation = _statistics(vae, latents)
    return vae.decode((latents * deviation + mean).to(vae.dtype)).sample[0].movedim(0, 1).float()


def _statistics(vae: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
    mean, deviation = (latents.new_tensor(v) for v in (vae.config.latents_mean, vae.config.latents_std))
    return mean[:, None, None, None], deviation[:, None, None, None]
