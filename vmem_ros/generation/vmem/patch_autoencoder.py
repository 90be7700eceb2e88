"""A small autoencoder for processors: a linear transform of patches, and a network that restores what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from vmem_ros.errors import ModelError


@dataclass
class PatchEncoderOutput(BaseOutput):
    """:param latents: [N, C, h, w]."""

    latents: Tensor


@dataclass
class PatchDecoderOutput(BaseOutput):
    """:param sample: images [N, 3, H, W]."""

    sample: Tensor


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Latents are the first principal components of patches; images are their sum plus what a network adds to it.

    The transform is fitted, not trained (:meth:`fit`): latents exist within a second and stay the same, whatever the
    decoder learns later. The network works on the latents' grid and at twice its size, where a processor computes at
    full speed; it has no norms, so a patch decodes the same whatever the rest of the image is.

    :param patch: side of the patches in pixels, an even number.
    :param latent_channels: C, principal components that are kept.
    :param widths: channels on the grid and at twice its size.
    :param blocks: residual blocks at each of the two.
    :raises ModelError: for a configuration that cannot be built.
    """

    @register_to_config
    def __init__(
        self,
        patch: int = 8,
        latent_channels: int = 32,
        widths: Sequence[int] = (192, 64),
        blocks: Sequence[int] = (2, 1),
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        if patch < 2 or patch % 2 or not 1 <= latent_channels <= 3 * patch**2:
            raise ModelError(
                f"patch must be even, and latent_channels 1 to 3 * patch^2, got {patch} and {latent_channels}"
            )
        if len(widths) != 2 or len(blocks) != 2 or min(*widths, *blocks) < 1:
            raise ModelError(
                f"widths and blocks must be two numbers of 1 or more each, got {list(widths)} and {list(blocks)}"
            )
        self.encoder = nn.Conv2d(3, latent_channels, patch, stride=patch)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, patch, stride=patch)
        coarse, fine = widths
        self.restorer = nn.Sequential(
            nn.Conv2d(latent_channels, coarse, 3, padding=1),
            *(_Residual(coarse) for _ in range(blocks[0])),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            *(_Residual(fine) for _ in range(blocks[1])),
            _from_zero(nn.Conv2d(fine, 3 * (patch // 2) ** 2, 3, padding=1)),
            nn.PixelShuffle(patch // 2),
        )

    @property
    def spatial_compression_ratio(self) -> int:
        """Size of an image as a multiple of that of its latents."""
        return self.config.patch

    @apply_forward_hook
    def encode(self, images: Tensor) -> PatchEncoderOutput:
        """Return latents [N, C, h, w] of images [N, 3, H, W] in [-1, 1]; H and W are multiples of the patch."""
        return PatchEncoderOutput(latents=self.encoder(images))

    @apply_forward_hook
    def decode(self, latents: Tensor) -> PatchDecoderOutput:
        """Return images [N, 3, H, W] of latents [N, C, h, w]."""
        return PatchDecoderOutput(sample=self.decoder(latents) + self.restorer(latents))

    @torch.no_grad()
    def fit(self, images: Tensor, *, whitening: float = 0.5) -> None:
        """Set the transform to the principal components of the patches of images [N, 3, H, W] in [-1, 1].

        :param whitening: components are divided by this power of their standard deviation, and all by one number that
            gives latents unit variance in the mean: 0 keeps the proportions of pixels, in which the first components
            outweigh all others; 1 makes all alike.
        """
        patch, kept = self.config.patch, self.config.latent_channels
        patches = F.unfold(images.double(), patch, stride=patch).permute(0, 2, 1).flatten(0, 1)
        # The mean of each colour is a bias of the transform and its inverse; the mean patch is nearly of one colour.
        mean = patches.view(len(patches), 3, -1).mean(dim=(0, 2))
        centred = patches - mean.repeat_interleave(patch**2)
        variance, components = torch.linalg.eigh(centred.mT @ centred / len(patches))
        deviation = variance.flip(0)[:kept].clamp(min=1e-12).sqrt()
        components = components.flip(1)[:, :kept]
        # Eigenvectors have no sign of their own.
        largest = components.abs().argmax(dim=0)
        components = components * components[largest, torch.arange(kept)].sign()
        scale = deviation**-whitening
        scale = scale / (deviation * scale).square().mean().sqrt()
        analysis = (components * scale).mT
        _set(self.encoder, analysis, -analysis @ mean.repeat_interleave(patch**2))
        _set(self.decoder, (components / scale).mT, mean)


class _Residual(nn.Module):
    """Two 3x3 convolutions with a residual; the second begins at zero, which is what norms are not needed for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = _from_zero(nn.Conv2d(width, width, 3, padding=1))
        self.activation = nn.SiLU()

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.activation(self.first(self.activation(features))))


def _from_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Return the layer with all parameters zero: what it adds grows from nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _set(layer: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, bias: Tensor) -> None:
    layer.load_state_dict({"weight": weight.reshape(layer.weight.shape), "bias": bias})
