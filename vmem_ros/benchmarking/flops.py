"""Floating-point operations of the generator's network, counted without computing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

Kind = Literal["convolution", "linear", "attention"]

_KINDS: dict[str, Kind] = {
    "convolution": "convolution",
    "mm": "linear",
    "addmm": "linear",
    "bmm": "attention",
    "baddbmm": "attention",
}


@dataclass(frozen=True)
class FlopCount:
    """Floating-point operations of a call, a multiplication and an addition counted as two.

    :param by_kind: attention means the products of queries, keys, weights and values, without the projections.
    """

    by_kind: Mapping[Kind, int]

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.by_kind.values())


def count_flops(call: Callable[[], object]) -> FlopCount:
    """Return what the matrix products and convolutions of ``call`` cost; element-wise work is not counted."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    by_kind: dict[Kind, int] = dict.fromkeys(("convolution", "linear", "attention"), 0)
    for operator, flops in counter.get_flop_counts()["Global"].items():
        # What else is counted are the fused attention kernels, under several names.
        by_kind[_KINDS.get(operator.__name__, "attention")] += flops
    return FlopCount(by_kind)


def network_flops(
    config: Mapping[str, Any] | None = None,
    *,
    height: int,
    width: int,
    num_frames: int = 8,
    sets: int = 1,
    tokens: int = 1,
    prepared: bool = False,
) -> FlopCount:
    """Return the operations of one evaluation of a ``MultiviewUNet``, counted on the meta device.

    :param config: arguments of the network; by default the published size.
    :param height: of the latents.
    :param width: of the latents.
    :param num_frames: frames per set.
    :param sets: sets of frames in the batch; 2 with guidance.
    :param tokens: context tokens per frame.
    :param prepared: with the conditioning prepared beforehand, whose own cost is then left out.
    """
    from vmem_ros.generation.vmem.network import MultiviewUNet

    frames = sets * num_frames
    with torch.device("meta"):
        unet = MultiviewUNet(**(config or {}))
        sample = torch.empty(frames, unet.config.in_channels + unet.config.projection_channels, height, width)
        timestep = torch.empty(frames, dtype=torch.int64)
        context = torch.empty(frames, tokens, unet.config.context_dim)
        dense = torch.empty(frames, unet.config.dense_in_channels, height, width)
    if not prepared:
        return count_flops(lambda: unet(sample, timestep, context, dense, num_frames))
    with torch.no_grad():
        conditioning = unet.prepare(context, dense[:num_frames], num_frames)
    return count_flops(lambda: unet(sample, timestep, num_frames=num_frames, prepared=conditioning))
