"""A small autoencoder for processors: patches first, so that no layer works at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
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
    """Images to latents and back: pixels of a patch become channels, residual blocks follow, level by level.

    Wide layers on few positions are what a processor computes at full speed. There are no norms, so that a patch
    decodes the same whatever the rest of the image is. With one width and no blocks it is a linear transform.

    :param patch: side of the patches in pixels.
    :param widths: channels of each level; each but the first halves the size.
    :param blocks: residual blocks of each level of the encoder and of the decoder.
    :param latent_channels: C.
    :param scaling_factor: latents minus ``shift_factor``, times this, have about unit variance.
    :raises ModelError: for a configuration that cannot be built.
    """

    @register_to_config
    def __init__(
        self,
        patch: int = 2,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (1, 1, 2),
        latent_channels: int = 8,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        if patch < 1 or latent_channels < 1 or not widths or min(widths) < 1 or len(widths) != len(blocks):
            raise ModelError(
                "patch, latent_channels and widths must be 1 or more, with as many blocks as widths, got "
                f"{patch}, {latent_channels}, {list(widths)} and {list(blocks)}"
            )
        pixels = 3 * patch**2
        encoder: list[nn.Module] = [nn.PixelUnshuffle(patch), nn.Conv2d(pixels, widths[0], 3, padding=1)]
        decoder: list[nn.Module] = []
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if level:
                encoder += [nn.PixelUnshuffle(2), nn.Conv2d(4 * widths[level - 1], width, 1)]
                decoder = [nn.Conv2d(width, 4 * widths[level - 1], 1), nn.PixelShuffle(2), *decoder]
            encoder += [_Residual(width) for _ in range(count)]
            decoder = [*(_Residual(width) for _ in range(count)), *decoder]
        encoder.append(nn.Conv2d(widths[-1], latent_channels, 3, padding=1))
        decoder = [nn.Conv2d(latent_channels, widths[-1], 3, padding=1), *decoder]
        decoder += [nn.Conv2d(widths[0], pixels, 3, padding=1), nn.PixelShuffle(patch)]
        self.encoder = nn.Sequential(*encoder)
        self.decoder = nn.Sequential(*decoder)

    @property
    def spatial_compression_ratio(self) -> int:
        """Size of an image as a multiple of that of its latents."""
        return self.config.patch * 2 ** (len(self.config.widths) - 1)

    def encode(self, images: Tensor) -> PatchEncoderOutput:
        """Return latents [N, C, h, w] of images [N, 3, H, W] in [-1, 1]; H and W divide by the compression ratio."""
        return PatchEncoderOutput(latents=self.encoder(images))

    def decode(self, latents: Tensor) -> PatchDecoderOutput:
        """Return images [N, 3, H, W] of latents [N, C, h, w]."""
        return PatchDecoderOutput(sample=self.decoder(latents))


class _Residual(nn.Module):
    """Two 3x3 convolutions with a residual; the second begins at zero, which is what norms are not needed for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.activation = nn.SiLU()
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.activation(self.first(self.activation(features))))
