"""Convolutional layers: residual blocks steered by time and by a dense map, down- and up-sampling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmem_ros.generation.vmem.network.architecture import NORM_GROUPS
from vmem_ros.generation.vmem.network.prepared import Modulation


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions with a residual.

    The dense map (Pluecker rays) scales and shifts the features before the first, the time embedding is added between
    the two. Group norms take their statistics in 32 bits or more whatever the features' type: PyTorch's kernels
    accumulate 16-bit inputs in 32 bits.
    """

    def __init__(self, in_channels: int, out_channels: int, *, embedding_channels: int, dense_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, out_channels))
        self.dense_emb_layers = nn.Sequential(nn.Conv2d(dense_channels, 2 * in_channels, 1))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, out_channels),
            nn.SiLU(),
            # The place of a dropout, which this network does not use.
            nn.Identity(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor, embedding: Tensor, dense: Tensor | Modulation) -> Tensor:
        """Return [N, out_channels, h, w].

        :param features: [N, in_channels, h, w].
        :param embedding: time embedding of every frame [N, E].
        :param dense: dense map of every frame [N, dense_channels, H, W], or what :meth:`prepare` made of it.
        """
        modulation = dense if isinstance(dense, Modulation) else self.prepare(dense, features.shape[-2:])
        normalise, activate, convolve = self.in_layers
        hidden = convolve(_modulate(activate(normalise(features)), modulation))
        hidden = hidden + self.emb_layers(embedding)[..., None, None]
        return self.skip_connection(features) + self.out_layers(hidden)

    def prepare(self, dense: Tensor, size: Sequence[int]) -> Modulation:
        """Return the modulation of features of ``size`` (h, w) by ``dense`` [N, dense_channels, H, W].

        The map is resized bilinearly, corners on corners, and each of its pixels mapped linearly.
        """
        if tuple(dense.shape[-2:]) != tuple(size):
            dense = F.interpolate(dense, size=tuple(size), mode="bilinear", align_corners=True)
        scale, shift = self.dense_emb_layers(dense).chunk(2, dim=1)
        return Modulation(1 + scale, shift)


class Downsample(nn.Module):
    """Half the size: 3x3 convolution with stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.op(features)


class Upsample(nn.Module):
    """Twice the size: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(F.interpolate(features, scale_factor=2.0, mode="nearest"))


def _modulate(features: Tensor, modulation: Modulation) -> Tensor:
    """Return ``features`` [N, C, h, w] * gain + shift, where the modulation may be shared by several sets of frames."""
    gain, shift = modulation
    frames = gain.shape[0]
    if frames == features.shape[0]:
        return torch.addcmul(shift, features, gain)
    return torch.addcmul(shift, features.unflatten(0, (-1, frames)), gain).flatten(0, 1)
