"""Between images and latents: one call for autoencoders with a distribution (AutoencoderKL) and without (Tiny)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def encode(vae: Any, images: Tensor) -> Tensor:
    """Return latents [N, C, h, w] float32, scaled to about unit variance, of images [N, 3, H, W] in [-1, 1].

    Of a distribution the mean is taken: a given view is not to be noisy.
    """
    encoded = vae.encode(images.to(vae.dtype))
    latents = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
    return (latents.float() - _shift(vae)) * vae.config.scaling_factor


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Return images [N, 3, H, W] float32, about in [-1, 1], of latents [N, C, h, w] as :func:`encode` returns them."""
    return vae.decode((latents / vae.config.scaling_factor + _shift(vae)).to(vae.dtype)).sample.float()


def downsampling(vae: Any) -> int:
    """Return the size of an image as a multiple of that of its latents."""
    if hasattr(vae, "spatial_compression_ratio"):
        return int(vae.spatial_compression_ratio)
    config = vae.config
    widths = config.block_out_channels if "block_out_channels" in config else config.encoder_block_out_channels
    return 2 ** (len(widths) - 1)


def pixels(images: list[Tensor], device: torch.device | str = "cpu") -> Tensor:
    """Return images [H, W, 3] uint8 of one size as [N, 3, H, W] float32 in [-1, 1]."""
    return torch.stack(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _shift(vae: Any) -> float:
    return vae.config.get("shift_factor") or 0.0
