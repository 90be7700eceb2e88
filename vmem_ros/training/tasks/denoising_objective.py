"""What the multi-view network is trained for: to predict frames under noise from those that are given."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers import SchedulerMixin
from torch import Tensor, nn

from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.prediction import Prediction, clean_latents, wanted_output
from vmem_ros.generation.vmem.schedules import noise_levels
from vmem_ros.training.data.view_sets import ViewSetBatch
from vmem_ros.training.tasks.adversary import Adversary


class DenoisingObjective:
    """Mean error of the network's prediction at random noise levels, one per set.

    :param scheduler: holds the noise levels and what the network predicts.
    :param log_normal: see :class:`~vmem_ros.training.recipes.denoising.Diffusion`.
    :param min_snr: see :class:`~vmem_ros.training.recipes.denoising.Loss`, as ``pure_noise`` and, which takes
        ``decode``, ``unseen``.
    :param decode: turns latents [N, C, h, w] into images; errors are then absolute ones of pixels. Without it they are
        squared ones of the network's output.
    :param adversary: judges decoded images, and is trained along.
    :param adversary_weight: weight of its verdict beside the errors.
    """

    def __init__(
        self,
        scheduler: SchedulerMixin,
        *,
        log_normal: tuple[float, float] | None = None,
        min_snr: float | None = None,
        pure_noise: float = 0.0,
        decode: Callable[[Tensor], Tensor] | None = None,
        unseen: float = 1.0,
        adversary: Adversary | None = None,
        adversary_weight: float = 0.0,
    ) -> None:
        if adversary is not None and decode is None:
            raise ValueError("an adversary judges images: give decode")
        self._sigmas = torch.from_numpy(noise_levels(scheduler)).float()
        self._frequency = torch.ones_like(self._sigmas)
        if log_normal is not None:
            mean, deviation = log_normal
            # The levels' distances in log(sigma) differ in the published schedule.
            spacing = torch.gradient(self._sigmas.log())[0]
            self._frequency = torch.exp(-((self._sigmas.log() - mean) ** 2) / (2 * deviation**2)) * spacing
        self._frequency = (1 - pure_noise) * self._frequency / self._frequency.sum()
        self._frequency[self._sigmas.argmax()] += pure_noise
        self._prediction: Prediction = scheduler.config.prediction_type
        self._min_snr = min_snr
        self._decode = decode
        self._unseen = unseen
        self._adversary = adversary
        self._adversary_weight = adversary_weight

    def __call__(
        self, network: nn.Module, batch: ViewSetBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
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
        asked = ~conditioning.given
        extra: Tensor | float = 0.0
        figures: dict[str, float] = {}
        if self._decode is None:
            wanted = wanted_output(self._prediction, batch.clean - conditioning.base, noise, sigma)
            error = (output - wanted)[asked].square().mean(dim=(1, 2, 3))
        else:
            clean = clean_latents(self._prediction, noisy, output, sigma) + conditioning.base
            generated = self._decode(clean[asked])
            with torch.no_grad():
                true = self._decode(batch.clean[asked])
            error = self._absolute_error(generated, true, conditioning)
            if self._adversary is not None:
                extra, figures = self._adversarial_loss(generated, true, conditioning)
        level_of = levels.repeat_interleave(frames)[asked.cpu()]
        loss = (error * self._weight(sigma.flatten()[asked])).mean() + extra
        return loss, self._by_level(level_of, error.detach().cpu()) | figures

    def _absolute_error(self, generated: Tensor, true: Tensor, conditioning: Conditioning) -> Tensor:
        """Return the mean absolute error of each image [N]; on average over the batch, weights are one."""
        error = (generated - true).abs().mean(dim=1, keepdim=True)
        if conditioning.projection is None or self._unseen == 1:
            return error.mean(dim=(1, 2, 3))
        seen = F.interpolate(conditioning.projection[~conditioning.given][:, -1:], error.shape[-2:], mode="nearest")
        weight = 1 + (self._unseen - 1) * (1 - seen)
        return (error * weight).mean(dim=(1, 2, 3)) / weight.mean()

    def _adversarial_loss(
        self, generated: Tensor, true: Tensor, conditioning: Conditioning
    ) -> tuple[Tensor, dict[str, float]]:
        """Return what is added to the loss, for the network and for the adversary itself, and figures of both."""
        assert self._adversary is not None
        assert self._decode is not None
        assert conditioning.projection is not None, "recipes with an adversary have a projection"
        shown = conditioning.projection[~conditioning.given]
        share = shown[:, -1:]
        with torch.no_grad():
            memory = self._decode(shown[:, :-1])
        of_network = self._adversary.generator_loss(generated, true, memory, share)
        of_adversary = self._adversary.discriminator_loss(generated, true, memory, share)
        figures = {"doubts": float(of_network.detach()), "adversary": float(of_adversary.detach())}
        return self._adversary_weight * of_network + of_adversary, figures

    def _weight(self, sigma: Tensor) -> Tensor:
        if self._min_snr is None:
            return torch.ones_like(sigma)
        if self._prediction == "sample":
            return (1 + sigma**-2).clamp(max=self._min_snr)
        weight = (self._min_snr * sigma**2).clamp(max=1)
        return weight / (sigma**2 + 1) if self._prediction == "v_prediction" else weight

    def _by_level(self, levels: Tensor, errors: Tensor) -> dict[str, float]:
        """Return the mean error of the frames in each third of the levels that has any."""
        thirds = levels * 3 // len(self._sigmas)
        named = (("low", 0), ("middle", 1), ("high", 2))
        return {
            f"loss_{name}_noise": float(errors[thirds == third].mean())
            for name, third in named
            if bool((thirds == third).any())
        }
