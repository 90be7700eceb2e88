"""The time of a frame as angles, computed as exactly as the published code does.

Diffusers computes them in float32: at times near 1000 the fastest angle is off by 3e-5 then, which is more than all
other rounding of the network together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BASE = 10_000.0


class TimeAngles(nn.Module):
    """Cosines and then sines of a time at ``dim / 2`` frequencies."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, timestep: Tensor) -> Tensor:
        """Return [N, dim] float32 of times [N]."""
        half = self.dim // 2
        # Apple's GPUs know no float64.
        at = timestep.cpu() if timestep.device.type == "mps" else timestep
        frequencies = _BASE ** (-torch.arange(half, dtype=torch.float64, device=at.device) / half)
        angles = at.to(torch.float64)[:, None] * frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1).to(timestep.device, torch.float32)
