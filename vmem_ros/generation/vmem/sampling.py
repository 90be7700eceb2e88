"""From noise to clean latents, one noise level after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler
from torch import Tensor

from vmem_ros.generation.vmem.caching import TaylorCache

#: Returns the estimate of the clean latents, as :class:`~vmem_ros.generation.vmem.denoising.Denoiser` does.
Denoise = Callable[[Tensor, Tensor, float], Tensor]


@dataclass(eq=False)
class SamplingStep:
    """One step that was taken.

    :param index: from 0.
    :param timestep: scalar, index of the noise level in the schedule.
    :param latents: [N, C, h, w] float32 running latents after the step, in the scale of the scheduler; after the last
        one they are clean. Assign to it to go on from something else.
    :param clean: [N, C, h, w] float32 estimate of the clean latents that the step went towards.
    """

    index: int
    timestep: Tensor
    latents: Tensor
    clean: Tensor


def sample(
    denoise: Denoise,
    scheduler: EulerDiscreteScheduler | DPMSolverMultistepScheduler,
    noise: Tensor,
    *,
    cache: TaylorCache | None = None,
) -> Iterator[SamplingStep]:
    """Yield each step on the way from noise to clean latents; stop asking for more to stop sampling.

    The running latents of given frames are kept as those of any other frame: the denoiser decides who sees them.

    :param denoise: estimates the clean latents.
    :param scheduler: from :func:`~vmem_ros.generation.vmem.schedules.sampling_scheduler`, fresh for each call.
    :param noise: [N, C, h, w] of unit variance. Whatever its type, all states are float32.
    :param cache: extrapolates the estimate at steps where it says that no evaluation is due; a new one for each call.
    """
    latents = noise.float() * scheduler.init_noise_sigma
    for index, timestep in enumerate(scheduler.timesteps):
        # Euler keeps clean + sigma * noise, DPM-Solver the same divided by sqrt(sigma^2 + 1), as networks see it.
        visible = scheduler.scale_model_input(latents, timestep)
        if cache is not None and not cache.due(index):
            clean = cache.predict(index)
        else:
            clean = denoise(visible, timestep, scheduler.sigmas[index].item())
            if cache is not None:
                cache.update(index, clean)
        (latents, *_) = scheduler.step(clean, timestep, latents, return_dict=False)
        step = SamplingStep(index, timestep, latents, clean)
        yield step
        latents = step.latents
