"""What a sampler gets wrong by itself, with a denoiser that is exact: no network is needed to know that.

The data are a mixture of Gaussians around patterns with the spectrum of natural images. The mean of what a noisy
sample can have been is known in closed form, so the sampling equation can be solved to any accuracy.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from vmem_ros.generation.vmem.caching import TaylorCache
from vmem_ros.generation.vmem.sampling import sample
from vmem_ros.generation.vmem.sampling_options import Sampler
from vmem_ros.generation.vmem.schedules import noise_levels, published_scheduler, sampling_scheduler

_SIDE, _PATTERNS, _SAMPLES = 8, 24, 64
# Standard deviation around a pattern; that of the patterns is 1.
_SPREAD = 0.15
_SOLVER_STEPS, _LOWEST_SIGMA = 400, 1e-3


class AnalyticDenoiser:
    """Samplers are compared on it, from the same noise."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        frequency = torch.fft.fftfreq(_SIDE, dtype=torch.float64)
        amplitude = (torch.hypot(frequency[:, None], frequency) + 0.1) ** -1.5
        white = torch.randn(_PATTERNS, _SIDE, _SIDE, dtype=torch.float64, generator=generator)
        patterns = torch.fft.ifft2(torch.fft.fft2(white) * amplitude).real.flatten(1)
        self._patterns = patterns / patterns.std()
        self._schedule = published_scheduler()
        self._noise = torch.randn(_SAMPLES, 1, _SIDE, _SIDE, generator=generator)
        self._solution = self._solve(float(noise_levels(self._schedule)[-1]))

    def error(self, sampler: Sampler, steps: int, *, cache: TaylorCache | None = None) -> float:
        """Return the median relative error of what a sampler arrives at, without guidance."""
        *_, last = sample(self._denoise, sampling_scheduler(self._schedule, sampler, steps), self._noise, cache=cache)
        found = last.latents.double().flatten(1)
        return float(((found - self._solution).norm(dim=1) / self._solution.norm(dim=1)).median())

    def _denoise(self, visible: Tensor, _timestep: Tensor, sigma: float) -> Tensor:
        noisy = visible.double().flatten(1) * (sigma**2 + 1) ** 0.5
        return self._clean(noisy, sigma).view_as(visible).float()

    def _clean(self, noisy: Tensor, sigma: float) -> Tensor:
        """Return the mean of what ``noisy`` [N, D] can have been."""
        variance = _SPREAD**2 + sigma**2
        weights = (-torch.cdist(noisy, self._patterns).square() / (2 * variance)).softmax(dim=1)
        kept = _SPREAD**2 / variance
        return weights @ self._patterns * (1 - kept) + noisy * kept

    def _solve(self, highest: float) -> Tensor:
        """Return where the sampling equation leads [N, D]: Heun's method with many small steps."""
        levels = torch.logspace(math.log10(highest), math.log10(_LOWEST_SIGMA), _SOLVER_STEPS, dtype=torch.float64)
        x = self._noise.double().flatten(1) * (highest**2 + 1) ** 0.5
        for high, low in pairwise(levels.tolist()):
            slope = (x - self._clean(x, high)) / high
            ahead = x + (low - high) * slope
            x = x + (low - high) * (slope + (ahead - self._clean(ahead, low)) / low) / 2
        return self._clean(x, _LOWEST_SIGMA)
