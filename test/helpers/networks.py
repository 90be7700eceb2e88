"""A small network of the published class with inputs for it, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vmem_ros.generation.vmem.network import MultiviewUNet

SMALL: dict[str, Any] = {
    "model_channels": 32,
    "num_frames": 4,
    "num_res_blocks": 1,
    "attention_resolutions": (1, 2),
    "channel_mult": (1, 2),
    "num_head_channels": 16,
    "transformer_depth": (1, 1),
    "context_dim": 24,
}


def small_unet(*, seed: int = 0, **config: Any) -> MultiviewUNet:
    """Return a random network in evaluation mode; ``config`` overrides :data:`SMALL`."""
    torch.manual_seed(seed)
    return MultiviewUNet(**{**SMALL, **config}).eval()


def random_inputs(
    unet: MultiviewUNet,
    *,
    sets: int = 2,
    num_frames: int = 4,
    size: tuple[int, int] = (4, 6),
    tokens: int = 1,
    dtype: torch.dtype = torch.float32,
    seed: int = 1,
) -> dict[str, Tensor]:
    """Return sample, timestep, context and dense map for ``sets`` sets of frames; the sets share their dense map."""
    generator = torch.Generator().manual_seed(seed)
    frames, channels = sets * num_frames, unet.config.in_channels + unet.config.projection_channels
    dense = torch.randn(num_frames, unet.config.dense_in_channels, *size, generator=generator, dtype=dtype)
    return {
        "sample": torch.randn(frames, channels, *size, generator=generator, dtype=dtype),
        "timestep": torch.randint(0, 1000, (frames,), generator=generator),
        "encoder_hidden_states": torch.randn(frames, tokens, unet.config.context_dim, generator=generator, dtype=dtype),
        "dense_conditioning": dense.repeat(sets, 1, 1, 1),
    }
