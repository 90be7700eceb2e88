"""The noise level as features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MAX_PERIOD = 10000.0


def sinusoid(timestep: Tensor, channels: int) -> Tensor:
    """Return [N, channels] float32: cosines, then sines, of ``timestep`` [N] at ``channels`` / 2 frequencies.

    The frequencies fall geometrically from 1 to nearly 1/10000 radians per step. They are float32 even in a float64
    network, because that is what trained weights have seen: at step 999 the rounding is worth 3e-5.
    """
    half = channels // 2
    index = torch.arange(half, dtype=torch.float32, device=timestep.device)
    angle = timestep.to(torch.float32)[:, None] * torch.exp(-math.log(_MAX_PERIOD) * index / half)
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
