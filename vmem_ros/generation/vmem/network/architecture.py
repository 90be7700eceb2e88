"""The U of the network: how wide each stage is, where it attends and where it changes size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vmem_ros.errors import ModelError

# Group norms have this many groups.
NORM_GROUPS = 32


@dataclass(frozen=True)
class UNetLevel:
    """One entry of ``input_blocks`` or ``output_blocks``, or the middle.

    :param in_channels: channels of the features that enter, with those of the skip connection on the output side.
    :param out_channels: channels of the features that leave.
    :param depth: pairs of transformer blocks; 0 for none.
    :param joint: whether the transformer attends over the tokens of all frames of a set.
    :param resample: ``down`` stands for a stage that does nothing else, ``up`` comes after the transformer.
    """

    in_channels: int
    out_channels: int
    depth: int = 0
    joint: bool = False
    resample: Literal["down", "up"] | None = None


@dataclass(frozen=True)
class Architecture:
    """All stages in the order of their work; the first convolution precedes ``inputs``.

    :param divisor: what the sides of the latents must be multiples of.
    """

    inputs: tuple[UNetLevel, ...]
    middle: UNetLevel
    outputs: tuple[UNetLevel, ...]
    divisor: int


def plan(
    *,
    model_channels: int,
    num_res_blocks: int,
    attention_resolutions: Sequence[int],
    channel_mult: Sequence[int],
    num_head_channels: int,
    transformer_depth: Sequence[int],
) -> Architecture:
    """Return the stages of a configuration; see ``MultiviewUNet`` for the arguments.

    Frames of a set attend jointly in the middle, and on the output side where features are down-sampled (by 2 or
    more); on the input side and at full resolution every frame attends alone, so that the cost of attention stays
    proportional to the number of frames where there are many tokens. The published network is an instance of this
    rule: middle, output at 4 and output at 2.

    :raises ModelError: for widths that group norms or attention heads do not divide, or lists that do not match.
    """
    levels = len(channel_mult)
    _check(model_channels, num_res_blocks, attention_resolutions, channel_mult, num_head_channels, transformer_depth)

    def depth(level: int) -> int:
        return transformer_depth[level] if 2**level in attention_resolutions else 0

    channels = model_channels
    inputs, skips = [], [channels]
    for level, multiple in enumerate(channel_mult):
        for _ in range(num_res_blocks):
            inputs.append(UNetLevel(channels, multiple * model_channels, depth(level)))
            channels = multiple * model_channels
            skips.append(channels)
        if level < levels - 1:
            inputs.append(UNetLevel(channels, channels, resample="down"))
            skips.append(channels)

    middle = UNetLevel(channels, channels, transformer_depth[-1], joint=True)

    outputs = []
    for level in reversed(range(levels)):
        for block in range(num_res_blocks + 1):
            resample: Literal["up"] | None = "up" if level > 0 and block == num_res_blocks else None
            width = channel_mult[level] * model_channels
            outputs.append(UNetLevel(channels + skips.pop(), width, depth(level), joint=level > 0, resample=resample))
            channels = width
    return Architecture(tuple(inputs), middle, tuple(outputs), divisor=2 ** (levels - 1))


def _check(
    model_channels: int,
    num_res_blocks: int,
    attention_resolutions: Sequence[int],
    channel_mult: Sequence[int],
    num_head_channels: int,
    transformer_depth: Sequence[int],
) -> None:
    if not channel_mult or min(model_channels, num_res_blocks, num_head_channels, *channel_mult) < 1:
        raise ModelError(
            "model_channels, num_res_blocks, num_head_channels and every entry of channel_mult must be 1 or more, got "
            f"{model_channels}, {num_res_blocks}, {num_head_channels} and {list(channel_mult)}"
        )
    if len(transformer_depth) != len(channel_mult) or min(transformer_depth) < 1:
        raise ModelError(
            f"transformer_depth needs an entry of 1 or more for each of the {len(channel_mult)} levels of "
            f"channel_mult, got {list(transformer_depth)}"
        )
    factors = [2**level for level in range(len(channel_mult))]
    if not set(attention_resolutions) <= set(factors):
        raise ModelError(
            f"attention_resolutions are down-sampling factors, of {factors} for {len(factors)} levels, "
            f"got {list(attention_resolutions)}"
        )
    for width in sorted({multiple * model_channels for multiple in (1, *channel_mult)}):
        if width % NORM_GROUPS:
            raise ModelError(f"every level must be a multiple of {NORM_GROUPS} channels wide, got one of {width}")
    attending = [m for m, factor in zip(channel_mult, factors, strict=True) if factor in attention_resolutions]
    for width in sorted({multiple * model_channels for multiple in (*attending, channel_mult[-1])}):
        if width % num_head_channels:
            raise ModelError(
                f"a level of {width} channels cannot be divided into heads of num_head_channels={num_head_channels}"
            )
