"""A small depth network for processors: one picture, its rays, and, if there is any, what memory shows of its depth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from vmem_ros.errors import ModelError
from vmem_ros.geometry.hole_filling import fill_depth

# Channels: RGB, rays (x / z, y / z), logarithm of the prompt, where there is a prompt.
_IN = 3 + 2 + 1 + 1
_LOG_DEVIATION = (-5.0, 1.0)


@dataclass
class DepthNetworkOutput(BaseOutput):
    """:param log_depth: [N, H, W].
    :param log_deviation: [N, H, W], logarithm of the standard deviation of ``log_depth``.
    """

    log_depth: Tensor
    log_deviation: Tensor


class DepthNetwork(ModelMixin, ConfigMixin):
    """A U-Net of 2 x 2 patches with attention at its coarsest level: depth with its uncertainty.

    It says how log depth differs from what memory shows, continued smoothly into its holes: what has learnt nothing
    yet repeats memory, and training goes into what memory does not know.

    It has no positions but the rays, so that it works at any size; what it has seen is pictures of about
    ``focal_px`` pixels of focal length, and callers resize theirs to it.

    :param widths: channels of each level; the first lies at half the size, each next at half of that.
    :param blocks: residual blocks per level, on the way down and on the way up.
    :param attention_blocks: at the coarsest level.
    :param head_width: channels of an attention head; divides the last width.
    :param focal_px: focal length of the pictures it is trained on, in pixels.
    :param typical_depth_m: where memory shows nothing, the network says how depth differs from this one.
    :raises ModelError: for a configuration that cannot be built.
    """

    @register_to_config
    def __init__(
        self,
        widths: Sequence[int] = (24, 48, 96, 192),
        blocks: Sequence[int] = (1, 2, 2, 2),
        attention_blocks: int = 3,
        head_width: int = 32,
        focal_px: float = 90.0,
        typical_depth_m: float = 2.5,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(blocks) or min(*widths, *blocks) < 1:
            raise ModelError(
                f"widths and blocks must be equally many numbers of 1 or more, got {list(widths)} and {list(blocks)}"
            )
        if attention_blocks < 0 or head_width < 1 or widths[-1] % head_width:
            raise ModelError(
                f"attention_blocks must not be negative and head_width must divide {widths[-1]}, got "
                f"{attention_blocks} and {head_width}"
            )
        if not (focal_px > 0 and typical_depth_m > 0):
            raise ModelError(f"focal_px and typical_depth_m must be positive, got {focal_px} and {typical_depth_m}")
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * _IN, widths[0], 3, padding=1))
        self.down = nn.ModuleList(
            nn.Sequential(*(_Residual(w) for _ in range(n))) for w, n in zip(widths, blocks, strict=True)
        )
        pairs = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.attention = nn.Sequential(*(_Attention(widths[-1], head_width) for _ in range(attention_blocks)))
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(*(_Residual(w) for _ in range(n))) for w, n in zip(widths[:-1], blocks, strict=False)
        )
        last = _from_zero(nn.Conv2d(widths[0], 2 * 4, 3, padding=1))
        self.head = nn.Sequential(nn.SiLU(), last, nn.PixelShuffle(2))

    @property
    def multiple(self) -> int:
        """Height and width of pictures must be multiples of this."""
        return 2 ** len(self.config.widths)

    def forward(
        self, images: Tensor, rays: Tensor, prompt: Tensor | None = None, return_dict: bool = True
    ) -> DepthNetworkOutput | tuple[Tensor, Tensor]:
        """Return log z-depth in log metres, and its log deviation.

        :param images: [N, 3, H, W] in [-1, 1].
        :param rays: [N, 2, H, W]: x / z and y / z of the pixels.
        :param prompt: [N, H, W] z-depth that memory shows, metres; NaN where it shows nothing. ``None``: nothing.
        :raises ModelError: H or W is no multiple of :attr:`multiple`.
        """
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ModelError(f"pictures must have multiples of {self.multiple} pixels, got {width} x {height}")
        typical = torch.tensor(self.config.typical_depth_m).log().to(images)
        known = images.new_zeros(images[:, :1].shape)
        shown = known
        if prompt is not None:
            known = torch.isfinite(prompt)[:, None].to(images)
            shown = torch.nan_to_num(fill_depth(prompt.float()).log() - typical, nan=0.0)[:, None].to(images)
        x = self.stem(torch.cat([images, rays.to(images), shown, known], dim=1))
        kept = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            if level < len(self.shrink):
                kept.append(x)
                x = self.shrink[level](x)
        x = self.attention(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(self.grow[level](x), scale_factor=2.0, mode="nearest") + kept[level]
            x = self.up[level](x)
        change, log_deviation = self.head(x).float().unbind(dim=1)
        log_depth = change + shown[:, 0].float() + typical
        log_deviation = (log_deviation - 2.0).clamp(*_LOG_DEVIATION)
        if not return_dict:
            return log_depth, log_deviation
        return DepthNetworkOutput(log_depth=log_depth, log_deviation=log_deviation)


class _Residual(nn.Module):
    """Two 3x3 convolutions with a norm before them; the second begins at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(width), width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = _from_zero(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))


class _Attention(nn.Module):
    """Self-attention over all places and a feed-forward layer; both begin at zero."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self._heads = width // head_width
        self.norm, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.to_out = _from_zero(nn.Linear(width, width))
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), _from_zero(nn.Linear(2 * width, width))
        )

    def forward(self, x: Tensor) -> Tensor:
        places = x.flatten(2).mT
        q, k, v = self.to_qkv(self.norm(places)).unflatten(-1, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        places = places + self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        places = places + self.feed_forward(self.norm_out(places))
        return places.mT.reshape(x.shape)


def _groups(width: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if width % groups == 0)


def _from_zero(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """Return the layer with all parameters zero: what it adds grows from nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
