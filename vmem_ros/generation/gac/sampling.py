"""From noise to an image: Euler steps along the velocity, from time 1 to 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor


def flow_scheduler(shift: float = 1.0) -> FlowMatchEulerDiscreteScheduler:
    """Return the scheduler: times t of equal distances become ``shift t / (1 + (shift - 1) t)``."""
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def draw(
    velocity: Callable[[Tensor, float], Tensor],
    shape: tuple[int, ...],
    scheduler: FlowMatchEulerDiscreteScheduler,
    steps: int,
    *,
    generator: torch.Generator | None,
    device: torch.device,
    after_step: Callable[[], None],
) -> Tensor:
    """Return an image of noise, float32.

    :param velocity: of (image under noise, time): noise - image.
    :param steps: n; times are ``linspace(1, 0, n + 1)``, shifted as the scheduler says.
    :param generator: of the noise, on the CPU for the same noise on every device.
    :param after_step: called after each step; may raise.
    """
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1].tolist(), device=device)
    sample = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
    for index, timestep in enumerate(scheduler.timesteps):
        said = velocity(sample, float(scheduler.sigmas[index]))
        sample = scheduler.step(said, timestep, sample, return_dict=False)[0]
        after_step()
    return sample
