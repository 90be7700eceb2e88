"""Noise levels of the published weights, for the schedulers of diffusers.

A diffusers scheduler that is only told the number of steps spaces them otherwise than the published code, by up to
0.004 in sigma for UniPC and 0.09 for Euler, which moves the latents of a few steps visibly. Told the sigmas before the
shift, it agrees.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from vmem_ros.errors import ModelError

#: Shift of the noise levels at 720p, for which the weights were trained.
SHIFT = 5.0
# UniPC's solver divides by what is 0 at sigma 1.
_FIRST_SIGMA = {"multistep": 0.999, "euler": 1.0}


def unipc_scheduler(shift: float = SHIFT) -> UniPCMultistepScheduler:
    """Return the solver that the published code draws with."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


def euler_scheduler(shift: float = SHIFT) -> FlowMatchEulerDiscreteScheduler:
    """Return the simplest solver, which the published code has as an alternative."""
    return FlowMatchEulerDiscreteScheduler(shift=shift)


def check_scheduler(scheduler: Any) -> None:
    """Raise :class:`ModelError` for a scheduler of something else than flows."""
    _kind(scheduler)


def started(scheduler: Any, steps: int, device: torch.device | str = "cpu") -> Any:
    """Return a new scheduler like the one given, at the start of ``steps`` steps.

    :raises ModelError: a scheduler that cannot follow a flow, or no steps.
    """
    if steps < 1:
        raise ModelError(f"num_inference_steps must be at least 1, got {steps}")
    kind = _kind(scheduler)
    out = type(scheduler).from_config(scheduler.config)
    out.set_timesteps(sigmas=np.linspace(_FIRST_SIGMA[kind], 0.0, steps + 1)[:-1], device=device)
    return out


def _kind(scheduler: Any) -> str:
    config = scheduler.config
    takes_sigmas = "sigmas" in inspect.signature(scheduler.set_timesteps).parameters
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) and not config.use_dynamic_shifting:
        return "euler"
    if takes_sigmas and config.get("use_flow_sigmas") and config.get("prediction_type") == "flow_prediction":
        return "multistep"
    raise ModelError(
        f"the scheduler must follow a flow whose sigmas it is told, got {type(scheduler).__name__} with "
        f"prediction_type={config.get('prediction_type')} and use_flow_sigmas={config.get('use_flow_sigmas')}: use "
        "unipc_scheduler() or euler_scheduler() of vmem_ros.generation.wan.schedules"
    )
