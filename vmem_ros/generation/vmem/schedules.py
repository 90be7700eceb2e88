"""Noise schedules: the noise levels of the published weights, and two ways through them.

A noisy latent is ``clean + sigma * noise``; a network sees it divided by ``sqrt(sigma^2 + 1)`` together with the index
of sigma in a table of training noise levels. The table is all that a schedule is, so a diffusers scheduler holds it as
``trained_betas`` and any other scheduler class can be made from its configuration.

The published sampler takes indices at equal distances and spends most of them at high noise; equal ratios of sigma
leave a second-order solver with 8 evaluations about as near to the exact solution as 50 Euler steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, SchedulerMixin

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.prediction import Prediction
from vmem_ros.generation.vmem.sampling_options import Sampler

_TRAIN_STEPS = 1000
_BETA_RANGE = (5e-6, 0.012)
# The noise levels are those of the base model times this, towards higher noise (Stable Virtual Camera).
_SIGMA_SHIFT = math.exp(2.4)
# Lowest noise level of the fast sampler for at least so many steps: fewer steps must not come as near to zero, or the
# ratio between levels grows. The last step always ends at zero.
_LOWEST_SIGMA = ((12, 0.05), (8, 0.1), (6, 0.16), (1, 0.25))


def published_betas() -> list[float]:
    """Return the 1000 betas of a variance-preserving schedule whose noise levels are those of the published weights.

    Stable Virtual Camera's levels are ``sqrt((1 - abar) / abar) * exp(2.4)`` with betas that are the squares of a
    linear ramp from sqrt(5e-6) to sqrt(0.012). Any table of levels belongs to some betas, through
    ``abar = 1 / (1 + sigma^2)``, so the shift disappears into the betas returned here.
    """
    low, high = _BETA_RANGE
    base = np.linspace(math.sqrt(low), math.sqrt(high), _TRAIN_STEPS) ** 2
    sigmas = np.sqrt(1 / np.cumprod(1 - base) - 1) * _SIGMA_SHIFT
    return _betas(sigmas)


def published_scheduler() -> EulerDiscreteScheduler:
    """Return the schedule of the published weights: what a pipeline of them stores as its ``scheduler``."""
    return EulerDiscreteScheduler(
        num_train_timesteps=_TRAIN_STEPS,
        trained_betas=published_betas(),
        prediction_type="epsilon",
        # The one spacing whose initial noise has the scale sqrt(sigma^2 + 1) of the published sampler.
        timestep_spacing="leading",
    )


def log_scheduler(sigma_min: float, sigma_max: float, *, prediction: Prediction = "epsilon") -> EulerDiscreteScheduler:
    """Return a schedule of 1000 noise levels at equal ratios, for networks that are trained from nothing.

    :param prediction: what the network predicts.
    :raises ModelError: not 0 < sigma_min < sigma_max.
    """
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ModelError(f"noise levels must rise from above 0, got {sigma_min:g} to {sigma_max:g}")
    return EulerDiscreteScheduler(
        num_train_timesteps=_TRAIN_STEPS,
        trained_betas=_betas(np.geomspace(sigma_min, sigma_max, _TRAIN_STEPS)),
        prediction_type=prediction,
        timestep_spacing="leading",
    )


def noise_levels(scheduler: SchedulerMixin) -> np.ndarray:
    """Return sigma of every training timestep [T] float64, rising."""
    abar = scheduler.alphas_cumprod.double().numpy()
    return np.sqrt((1 - abar) / abar)


def published_timesteps(num_inference_steps: int, *, num_train_timesteps: int = _TRAIN_STEPS) -> list[int]:
    """Return the indices of the published sampler: from the last downwards at equal distances, truncated.

    :raises ModelError: no steps, or more than there are training timesteps.
    """
    _check_steps(num_inference_steps, num_train_timesteps)
    return np.linspace(num_train_timesteps - 1, 0, num_inference_steps, endpoint=False).astype(int).tolist()


def log_spaced_timesteps(sigmas: Sequence[float] | np.ndarray, num_inference_steps: int) -> list[int]:
    """Return falling indices into a table of rising noise levels, at about equal ratios of sigma.

    :param sigmas: the table, e.g. :func:`noise_levels`.
    :raises ModelError: no steps, or more than the table has levels above the lowest one that is visited.
    """
    table = np.asarray(sigmas, np.float64)
    steps = max(num_inference_steps, 1)
    lowest = next(sigma for least, sigma in _LOWEST_SIGMA if steps >= least)
    wanted = np.geomspace(table[-1], max(lowest, table[0]), steps)
    indices = np.abs(table - wanted[:, None]).argmin(axis=1).tolist()
    _check_steps(num_inference_steps, len(table) - indices[-1])
    # Many steps ask for more levels than the table has at low noise: what would repeat moves up by one.
    for i in range(len(indices) - 2, -1, -1):
        indices[i] = max(indices[i], indices[i + 1] + 1)
    return indices


def sampling_scheduler(
    schedule: SchedulerMixin, sampler: Sampler, num_inference_steps: int, *, device: torch.device | str = "cpu"
) -> EulerDiscreteScheduler | DPMSolverMultistepScheduler:
    """Return a scheduler that walks the noise levels of ``schedule``, its timesteps set.

    Its ``step`` takes the estimate of the *clean* latents in the place of the network's output, because guidance acts
    on that. Between ``published`` and ``fast`` the scale of the running latents differs (DPM-Solver keeps them divided
    by ``sqrt(sigma^2 + 1)``); in both, ``scale_model_input`` gives what the network sees and ``init_noise_sigma`` what
    unit noise starts from.

    :raises ModelError: an unknown sampler, or a number of steps that the schedule does not have.
    """
    if sampler not in get_args(Sampler):
        raise ModelError(f"sampler must be one of {', '.join(get_args(Sampler))}, got {sampler!r}")
    walk: EulerDiscreteScheduler | DPMSolverMultistepScheduler
    if sampler == "published":
        walk = EulerDiscreteScheduler.from_config(
            schedule.config, prediction_type="sample", timestep_spacing="leading", final_sigmas_type="zero"
        )
        timesteps = published_timesteps(num_inference_steps, num_train_timesteps=schedule.config.num_train_timesteps)
    else:
        walk = DPMSolverMultistepScheduler.from_config(
            schedule.config,
            prediction_type="sample",
            algorithm_type="dpmsolver++",
            solver_order=2,
            solver_type="midpoint",
            final_sigmas_type="zero",
        )
        timesteps = log_spaced_timesteps(noise_levels(schedule), num_inference_steps)
    walk.set_timesteps(timesteps=timesteps, device=device)
    # Spares the search for the first timestep, which would wait for the device.
    walk.set_begin_index(0)
    return walk


def _betas(sigmas: np.ndarray) -> list[float]:
    """Return the betas of a variance-preserving schedule with these rising noise levels."""
    abar = 1 / (1 + sigmas**2)
    return (1 - abar / np.concatenate([[1.0], abar[:-1]])).tolist()


def _check_steps(steps: int, most: int) -> None:
    if not 1 <= steps <= most:
        raise ModelError(f"num_inference_steps must be 1 to {most} for this schedule, got {steps}")
