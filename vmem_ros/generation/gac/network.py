"""The network: a decoder that reads pictures, their depth and words in one sequence, and draws the next image of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
from torch import Tensor, nn

from vmem_ros.errors import ModelError
from vmem_ros.generation.flow_prediction import FlowPrediction, check_prediction, velocity_of
from vmem_ros.generation.gac.attention import CameraGatedAttention, KeysValues
from vmem_ros.generation.gac.rays import RayPatchifier
from vmem_ros.generation.gac.rotary import rotary_table
from vmem_ros.generation.gac.sequence import WORDS, Split, Word, attention_mask, positions_of

_TIME_CHANNELS, _TIME_SCALE = 256, 1000.0


class GacTransformer(ModelMixin, ConfigMixin):
    """Geometry-as-Context: a decoder of Bagel's kind (RMS norms, gated feed-forward, grouped keys, rotary positions of
    one per image, time added to tokens of images) with camera-gated attention in every layer.

    Images lie in the latents of an autoencoder, depth too. One expert reads and draws.

    :param latent_channels: C of the autoencoder.
    :param downsampling: of the autoencoder: pixels to latents.
    :param patch: latents a token each way.
    :param width: D, a multiple of 4 and of ``heads``.
    :param kv_heads: heads of keys and values.
    :param ffn_width: of the feed-forward layers.
    :raises ModelError: a configuration that cannot be built.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 32,
        downsampling: int = 8,
        patch: int = 2,
        width: int = 256,
        num_layers: int = 8,
        heads: int = 8,
        kv_heads: int = 4,
        ffn_width: int = 680,
        prediction: FlowPrediction = "velocity",
        rotary_base: float = 1e6,
    ) -> None:
        super().__init__()
        numbers = (latent_channels, downsampling, patch, width, num_layers, heads, kv_heads, ffn_width)
        if min(numbers) < 1 or width % 4 or (width // heads) % 2:
            raise ModelError(
                f"all sizes must be 1 or more, width a multiple of 4 and heads of an even width, got {list(numbers)}"
            )
        check_prediction(prediction)
        values = latent_channels * patch**2
        self.image_in = nn.Linear(values, width)
        self.words = nn.Embedding(len(WORDS), width)
        self.time = TimestepEmbedding(_TIME_CHANNELS, width)
        self.rays = RayPatchifier(width, downsampling * patch)
        self.layers = nn.ModuleList(_Layer(width, heads, kv_heads, ffn_width) for _ in range(num_layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.image_out = nn.Linear(width, values)

    @property
    def multiple(self) -> int:
        """Sides of images are multiples of this, in pixels."""
        return int(self.config.downsampling * self.config.patch)

    def forward(self, latents: Tensor, times: Tensor, plucker: Tensor, splits: Sequence[Split]) -> Tensor:
        """Return what the network says of the images under noise, in their order: [B, n, C, h, w].

        :param latents: [B, I, C, h, w] of the images in ``splits``, in order, the noise in them already.
        :param times: [B, I] in 0 to 1, 0 for clean ones.
        :param plucker: [B, V, 6, H, W] rays of the views (:func:`~vmem_ros.geometry.plucker_rays`).
        :param splits: of all B sequences; words are one token each.
        """
        batch, grid = len(latents), (latents.shape[-2], latents.shape[-1])
        images = self.image_tokens(latents.flatten(0, 1), times.flatten()).unflatten(0, (batch, -1))
        rays = self.rays(plucker.flatten(0, 1)).unflatten(0, (batch, -1))
        features, of_camera, posed, image = [], [], [], 0
        for split in splits:
            if split.part.word:
                features.append(self.word_token(split.part.word).expand(batch, -1, -1))
                of_camera.append(torch.zeros_like(features[-1]))
            else:
                features.append(images[:, image])
                of_camera.append(rays[:, split.part.view])
                image += 1
            posed += [split.part.word is None] * split.length
        device = latents.device
        hidden, _ = self.decode(
            torch.cat(features, dim=1),
            torch.cat(of_camera, dim=1),
            positions_of(splits).to(device),
            posed=torch.tensor(posed, device=device),
            mask=attention_mask(splits).to(device),
        )
        pieces = hidden.split([split.length for split in splits], dim=1)
        noisy = [piece for piece, split in zip(pieces, splits, strict=True) if split.mode == "noise"]
        return self.image_of(torch.cat(noisy), grid).unflatten(0, (len(noisy), batch)).transpose(0, 1)

    def decode(
        self,
        features: Tensor,
        rays: Tensor,
        positions: Tensor,
        *,
        posed: Tensor | None = None,
        mask: Tensor | None = None,
        before: Sequence[KeysValues] | None = None,
    ) -> tuple[Tensor, list[KeysValues]]:
        """Return what the tokens become [B, N, D], and their keys and values in each layer.

        Arguments as of :meth:`CameraGatedAttention.attend`, ``positions`` [N], and ``before`` of each layer.
        """
        rotary = rotary_table(positions, self.config.width // self.config.heads, base=self.config.rotary_base)
        own = []
        for index, layer in enumerate(self.layers):
            past = None if before is None else before[index]
            features, kept = layer(features, rays, mask, rotary=rotary, posed=posed, before=past)
            own.append(kept)
        return self.norm(features), own

    def image_tokens(self, latents: Tensor, times: Tensor) -> Tensor:
        """Return tokens [N, n, D] of latents [N, C, h, w] at times [N]."""
        patches = F.pixel_unshuffle(latents, self.config.patch)
        time = self.time(get_timestep_embedding(_TIME_SCALE * times, _TIME_CHANNELS).to(latents))
        place = _places(patches.shape[-2], patches.shape[-1], self.config.width).to(latents)
        return self.image_in(patches.flatten(2).mT) + time[:, None] + place

    def word_token(self, word: Word) -> Tensor:
        """Return the token [1, 1, D] of a word."""
        return self.words.weight[WORDS.index(word)][None, None]

    def image_of(self, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return latents [N, C, h, w] of what tokens [N, n, D] became."""
        patch = self.config.patch
        patches = self.image_out(hidden).mT.unflatten(2, (grid[0] // patch, grid[1] // patch))
        return F.pixel_shuffle(patches, patch)

    def clean(self, said: Tensor, noisy: Tensor, time: Tensor | float) -> Tensor:
        """Return the clean latents that an output stands for, at a time in 0 to 1."""
        return said if self.config.prediction == "sample" else noisy - time * said

    def velocity(self, said: Tensor, noisy: Tensor, time: float) -> Tensor:
        """Return the velocity that an output stands for; see :data:`FlowPrediction`."""
        return velocity_of(self.config.prediction, said, noisy, time)

    @torch.no_grad()
    def start(self) -> None:
        """Make a new network begin as the identity of its layers, without cameras, and with an output of zero."""
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            layer.attention.ignore_cameras()
            for last in (layer.attention.out, layer.down):
                nn.init.zeros_(last.weight)
        nn.init.zeros_(self.image_out.weight)
        nn.init.zeros_(self.image_out.bias)
        nn.init.normal_(self.words.weight, std=0.02)


class _Layer(nn.Module):
    """Attention and a gated feed-forward layer, each behind a norm and beside a residual."""

    def __init__(self, width: int, heads: int, kv_heads: int, ffn_width: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.attention = CameraGatedAttention(width, heads, kv_heads, out_bias=False, qk_norm=True)
        self.ffn_norm = nn.RMSNorm(width, eps=1e-6)
        self.gate_up = nn.Linear(width, 2 * ffn_width, bias=False)
        self.down = nn.Linear(ffn_width, width, bias=False)

    def forward(
        self,
        features: Tensor,
        rays: Tensor,
        mask: Tensor | None,
        *,
        rotary: tuple[Tensor, Tensor],
        posed: Tensor | None,
        before: KeysValues | None,
    ) -> tuple[Tensor, KeysValues]:
        found, own = self.attention.attend(
            self.attention_norm(features), rays, mask, rotary=rotary, posed=posed, before=before
        )
        features = features + found
        gate, up = self.gate_up(self.ffn_norm(features)).chunk(2, dim=-1)
        return features + self.down(F.silu(gate) * up), own


def _places(height: int, width: int, channels: int) -> Tensor:
    """Return sines and cosines [height * width, channels] of row and column."""
    sides = (torch.arange(n, dtype=torch.float32) for n in (height, width))
    rows, columns = (get_timestep_embedding(side, channels // 2) for side in sides)
    grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1)
    return grid.flatten(0, 1)
