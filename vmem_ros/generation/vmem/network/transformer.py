"""Transformers over the tokens of a set of frames: within a frame, over all frames at once, and over time.

Features pass as tokens in the order (batch, height, width, channels). For an image tensor in channels-last memory that
is a view, so no layer in here moves features between layouts.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from vmem_ros.generation.vmem.network.architecture import NORM_GROUPS
from vmem_ros.generation.vmem.network.attention import attend
from vmem_ros.generation.vmem.network.prepared import AttendedToken, BlockContext

_FEED_FORWARD_WIDENING = 4


class Attention(nn.Module):
    """Multi-head attention; projections without bias, except the last.

    :param context_channels: width of the tokens attended to; by default the queries' own, for self-attention.
    """

    def __init__(self, channels: int, *, head_channels: int, context_channels: int | None = None) -> None:
        super().__init__()
        context_channels = channels if context_channels is None else context_channels
        self.heads = channels // head_channels
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Return [N, S, C]: what each of ``tokens`` [N, S, C] reads from ``context`` [N, L, D], or from its own row."""
        query, key, value = (part.transpose(1, 2) for part in self._project(tokens, context))
        return self.to_out[0](attend(query, key, value).transpose(1, 2).flatten(-2))

    def over_frames(self, tokens: Tensor) -> Tensor:
        """Return [B, T, S, C]: self-attention over the T frames at each of S positions, of ``tokens`` [B, T, S, C]."""
        query, key, value = (part.permute(0, 2, 3, 1, 4) for part in self._project(tokens, None))
        return self.to_out[0](attend(query, key, value).permute(0, 3, 1, 2, 4).flatten(-2))

    def of_one(self, token: Tensor) -> AttendedToken:
        """Return what any query reads from a context of one ``token`` [N, 1, D]."""
        return AttendedToken(self.to_out[0](self.to_v(token)))

    def _project(self, tokens: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each [..., heads, channels per head]."""
        context = tokens if context is None else context
        query, key, value = self.to_q(tokens), self.to_k(context), self.to_v(context)
        heads = (self.heads, -1)
        return query.unflatten(-1, heads), key.unflatten(-1, heads), value.unflatten(-1, heads)


class GatedGELU(nn.Module):
    """One half of a linear map, gated by the exact GELU of the other half."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, 2 * out_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj(tokens).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """Gated GELU at four times the width, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _FEED_FORWARD_WIDENING * channels
        # The place between the two is that of a dropout, which this network does not use.
        self.net = nn.Sequential(GatedGELU(channels, inner), nn.Identity(), nn.Linear(inner, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.net(tokens)


class SpatialBlock(nn.Module):
    """Self-attention, cross-attention to the context and feed-forward, each normalised before and with a residual."""

    def __init__(self, channels: int, *, head_channels: int, context_channels: int) -> None:
        super().__init__()
        self.attn1 = Attention(channels, head_channels=head_channels)
        self.ff = FeedForward(channels)
        self.attn2 = Attention(channels, head_channels=head_channels, context_channels=context_channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, context: Tensor | AttendedToken) -> Tensor:
        """Return [N, S, C] from ``tokens`` [N, S, C] and the context of each of the N sequences."""
        tokens = tokens + self.attn1(self.norm1(tokens))
        tokens = tokens + _read(self.attn2, self.norm2, tokens, context)
        return tokens + self.ff(self.norm3(tokens))


class TimeMixBlock(nn.Module):
    """What a frame's token learns from the same position in the other frames; added to the token by the caller."""

    def __init__(self, channels: int, *, head_channels: int, context_channels: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels)
        self.attn1 = Attention(channels, head_channels=head_channels)
        self.ff = FeedForward(channels)
        self.attn2 = Attention(channels, head_channels=head_channels, context_channels=context_channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, context: Tensor | AttendedToken) -> Tensor:
        """Return [B, T, S, C] from ``tokens`` [B, T, S, C] and the context of each of the B sets."""
        tokens = tokens + self.ff_in(self.norm_in(tokens))
        tokens = tokens + self.attn1.over_frames(self.norm1(tokens))
        # Each query of cross-attention stands alone, so frames and positions need not be told apart.
        frames = tokens.shape[1]
        tokens = tokens.flatten(1, 2)
        tokens = tokens + _read(self.attn2, self.norm2, tokens, context)
        # The last feed-forward has no residual here: the sum with the spatial branch is the residual.
        return self.ff(self.norm3(tokens)).unflatten(1, (frames, -1))


class MultiviewTransformer(nn.Module):
    """Pairs of a spatial and a time-mix block around the features of a set of frames, with a residual.

    :param depth: number of pairs.
    :param joint: whether the spatial blocks attend over the tokens of all frames of a set, or of each frame alone.
    """

    def __init__(self, channels: int, *, depth: int, joint: bool, head_channels: int, context_channels: int) -> None:
        super().__init__()
        widths = {"head_channels": head_channels, "context_channels": context_channels}
        self.joint = joint
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, **widths) for _ in range(depth)])
        self.time_mix_blocks = nn.ModuleList([TimeMixBlock(channels, **widths) for _ in range(depth)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, features: Tensor, context: Tensor | tuple[BlockContext, ...], num_frames: int) -> Tensor:
        """Return [B*T, C, h, w].

        :param features: [B*T, C, h, w], fastest in channels-last memory.
        :param context: tokens of every frame [B*T, L, D], or what :meth:`prepare` made of them.
        :param num_frames: frames per set, T.
        """
        contexts = context if isinstance(context, tuple) else self._share(context, num_frames)
        tokens = self.proj_in(to_tokens(self.norm(features)))
        for spatial, time_mix, given in zip(self.transformer_blocks, self.time_mix_blocks, contexts, strict=True):
            sequences = _join_frames(tokens, num_frames) if self.joint else tokens
            by_frame = spatial(sequences, given.spatial).view_as(tokens).unflatten(0, (-1, num_frames))
            tokens = (by_frame + time_mix(by_frame, given.temporal)).flatten(0, 1)
        return features + to_image(self.proj_out(tokens), *features.shape[-2:])

    def prepare(self, context: Tensor, num_frames: int) -> tuple[BlockContext, ...]:
        """Return what ``context`` [B*T, L, D] comes to in each pair of blocks, whatever the features."""
        contexts = self._share(context, num_frames)
        if context.shape[1] > 1:
            return contexts
        pairs = zip(self.transformer_blocks, self.time_mix_blocks, contexts, strict=True)
        return tuple(
            BlockContext(_read_one(spatial, given.spatial), _read_one(time_mix, given.temporal))
            for spatial, time_mix, given in pairs
        )

    def _share(self, context: Tensor, num_frames: int) -> tuple[BlockContext, ...]:
        """Return the tokens that each block sees: those of the first frame where the frames of a set are together."""
        first = context[::num_frames]
        return (BlockContext(first if self.joint else context, first),) * len(self.transformer_blocks)


def to_tokens(features: Tensor) -> Tensor:
    """Return [N, h*w, C] from ``features`` [N, C, h, w]; a view where these are in channels-last memory."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def to_image(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return [N, C, height, width] in channels-last memory, as a view of ``tokens`` [N, height*width, C]."""
    return tokens.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _join_frames(tokens: Tensor, num_frames: int) -> Tensor:
    """Return [B, T*S, C] as a view of ``tokens`` [B*T, S, C]."""
    return tokens.unflatten(0, (-1, num_frames)).flatten(1, 2)


def _read(attention: Attention, norm: nn.LayerNorm, tokens: Tensor, context: Tensor | AttendedToken) -> Tensor:
    """Return what ``tokens`` read from the context: [N, S, C], or [N, 1, C] where it is the same for all of them."""
    if isinstance(context, AttendedToken):
        return context.output
    return attention(norm(tokens), context)


def _read_one(block: Any, token: Tensor | AttendedToken) -> AttendedToken:
    """Return what all tokens in ``block`` read from a context of one ``token`` [N, 1, D]."""
    return block.attn2.of_one(token)
