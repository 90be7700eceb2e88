"""Noise that pictures are drawn from."""

from __future__ import annotations

import torch


def seeded_noise(seed: int | None) -> torch.Generator:
    """Return a source of noise on the CPU; ``None``: another one each time."""
    noise = torch.Generator()
    if seed is None:
        noise.seed()
    else:
        noise.manual_seed(seed)
    return noise
