"""Times at which networks of flows are trained, and errors of what they draw."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vmem_ros.training.recipes.flow import Flow


def draw_times(flow: Flow, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random times in 0 to 1, some of them 1."""
    mean, deviation = flow.logit_normal
    t = torch.sigmoid(mean + deviation * torch.randn(shape, generator=generator))
    t = flow.shift * t / (1 + (flow.shift - 1) * t)
    return torch.where(torch.rand(shape, generator=generator) < flow.pure_noise, 1.0, t)


def pixel_errors(decode: Callable[[Tensor], Tensor], found: Tensor, true: Tensor) -> Tensor:
    """Return the mean absolute error [B, n] of decoded images.

    :param decode: turns latents [N, C, h, w] into images.
    :param found: latents [B, n, C, h, w], as ``true``.
    """
    images = decode(found.flatten(0, 1))
    with torch.no_grad():
        wanted = decode(true.flatten(0, 1))
    return (images - wanted).abs().mean(dim=(1, 2, 3)).view(found.shape[:2])
