"""What the multi-view network is trained to do: see through noise on the frames that are not given."""

from __future__ import annotations

import torch
from diffusers import SchedulerMixin
from torch import Tensor, nn

from vmem_ros.generation.prediction import Prediction, wanted_output
from vmem_ros.generation.schedules import noise_levels
from vmem_ros.training.samples import Batch


class DenoisingObjective:
    """Mean squared error of the network's prediction at random noise levels, one per set.

    :param scheduler: holds the noise levels and what the network predicts.
    :param log_normal: see :class:`~vmem_ros.training.recipes.Diffusion`, as ``min_snr``.
    """

    def __init__(
        self,
        scheduler: SchedulerMixin,
        *,
        log_normal: tuple[float, float] | None = None,
        min_snr: float | None = None,
    ) -> None:
        self._sigmas = torch.from_numpy(noise_levels(scheduler)).float()
        self._frequency = torch.ones_like(self._sigmas)
        if log_normal is not None:
            mean, deviation = log_normal
            # The levels' distances in log(sigma) differ in the published schedule.
            spacing = torch.gradient(self._sigmas.log())[0]
            self._frequency = torch.exp(-((self._sigmas.log() - mean) ** 2) / (2 * deviation**2)) * spacing
        self._prediction: Prediction = scheduler.config.prediction_type
        self._min_snr = min_snr

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the loss, and figures of it for the log: the loss of the lower, middle and upper third of levels.

        :param generator: on the CPU, so that the noise is the same on every device.
        """
        device, frames = batch.clean.device, batch.num_frames
        sets = len(batch.clean) // frames
        levels = torch.multinomial(self._frequency, sets, replacement=True, generator=generator)
        sigma = self._sigmas[levels].repeat_interleave(frames).to(device)[:, None, None, None]
        noise = torch.randn(batch.clean.shape, generator=generator).to(device)
        scale = (sigma**2 + 1).sqrt()
        conditioning = batch.conditioning
        noisy = conditioning.place_given((batch.clean + sigma * noise) / scale, scale)
        output = network(
            torch.cat([noisy, conditioning.concat], dim=1),
            levels.repeat_interleave(frames).to(device),
            conditioning.context,
            conditioning.plucker,
            frames,
        ).sample.float()
        error = (
            (output - wanted_output(self._prediction, batch.clean - conditioning.base, noise, sigma))
            .square()
            .mean(dim=(1, 2, 3))
        )
        unknown = (~conditioning.given).float()
        weighted = error * self._weight(sigma.flatten()) * unknown
        figures = self._by_level(levels, (error * unknown).detach().cpu().view(sets, frames).sum(1), unknown, frames)
        return weighted.sum() / unknown.sum(), figures

    def _weight(self, sigma: Tensor) -> Tensor:
        if self._min_snr is None:
            return torch.ones_like(sigma)
        if self._prediction == "sample":
            return (1 + sigma**-2).clamp(max=self._min_snr)
        weight = (self._min_snr * sigma**2).clamp(max=1)
        return weight / (sigma**2 + 1) if self._prediction == "v_prediction" else weight

    def _by_level(self, levels: Tensor, errors: Tensor, unknown: Tensor, frames: int) -> dict[str, float]:
        """Return the mean error of the sets in each third of the levels that has any."""
        count = unknown.cpu().view(-1, frames).sum(1)
        thirds = levels * 3 // len(self._sigmas)
        named = (("low", 0), ("middle", 1), ("high", 2))
        return {
            f"loss_{name}_noise": float(errors[thirds == third].sum() / count[thirds == third].sum())
            for name, third in named
            if bool((thirds == third).any())
        }
