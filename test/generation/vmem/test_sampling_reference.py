"""Denoiser and sampler step by step against the published ones, around a network that is a short formula."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.guidance import GuidanceInterval, guidance_scales
from vmem_ros.generation.vmem.sampling import sample
from vmem_ros.generation.vmem.schedules import published_scheduler, sampling_scheduler

FRAMES = 8


class Prepared(NamedTuple):
    context: torch.Tensor
    dense: torch.Tensor

    def select(self, first, count=1):
        return Prepared(self.context[first * FRAMES : (first + count) * FRAMES], self.dense)


class Formula:
    """The network of the stored arrays; it counts the frames that go through it."""

    def __init__(self):
        self.frames = []

    def prepare(self, encoder_hidden_states, dense_conditioning, num_frames):
        assert num_frames == FRAMES
        return Prepared(encoder_hidden_states, dense_conditioning)

    def __call__(self, sample, timestep, *, num_frames, prepared):
        self.frames.append(len(sample))
        x, concat = sample[:, :4], sample[:, 4:]
        dense = prepared.dense.repeat(len(sample) // FRAMES, 1, 1, 1)
        per_frame = 0.25 * torch.cos(timestep.to(x) / 150) + 0.1 * prepared.context.mean(dim=(1, 2)) + 0.05 * num_frames
        noise = 0.6 * torch.sin(x) + 0.2 * concat[:, :4] - 0.15 * dense[:, :1] + per_frame[:, None, None, None]
        return SimpleNamespace(sample=noise)


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return {name: torch.from_numpy(array) for name, array in np.load(reference_dir / "sampler.npz").items()}


@pytest.fixture(scope="module")
def conditioning(arrays):
    found = Conditioning(
        latents=arrays["cond.c.replace"][:, :4],
        given=arrays["smp.mask"],
        plucker=arrays["cond.c.dense_vector"],
        context=arrays["cond.c.crossattn"],
    )
    assert torch.equal(found.concat, arrays["cond.c.concat"])
    return found


@pytest.fixture(scope="module")
def scales(arrays):
    return guidance_scales(arrays["smp.c2w"], arrays["smp.K"], arrays["smp.mask"])


@pytest.fixture(scope="module")
def schedule():
    return published_scheduler()


@pytest.mark.parametrize("half", ["conditional", "unconditional"])
def test_denoiser(arrays, conditioning, half):
    """Each frame of the stored arrays has a noise level of its own."""
    told, name = (conditioning, "with_replace") if half == "conditional" else (conditioning.unconditional(), "uc")
    denoise = Denoiser(Formula(), told, torch.ones(FRAMES))
    for frame, (index, sigma) in enumerate(zip(arrays["den.idx"], arrays["den.sigma_quantized"].tolist(), strict=True)):
        visible = arrays["den.in.x"] / (sigma**2 + 1) ** 0.5
        torch.testing.assert_close(denoise(visible, index, sigma)[frame], arrays[f"den.out.{name}"][frame])


@pytest.mark.parametrize("steps", [20, 50])
def test_published_sampler(arrays, conditioning, scales, schedule, steps):
    assert torch.equal(scales, arrays["smp.scale_per_frame"])
    walk = sampling_scheduler(schedule, "published", steps)
    found = torch.stack(
        [s.latents for s in sample(Denoiser(Formula(), conditioning, scales), walk, arrays["smp.noise"])]
    )
    expected = arrays[f"smp.mv.n{steps}.zero.steps"]
    deviation = (found - expected).abs().flatten(1).amax(dim=1) / expected.flatten(1).std(dim=1)
    # Theirs adds 1e-6 to every sigma; in float64 that comes to 4.8e-6 of the largest latent.
    assert deviation.max().item() < 1e-5
    torch.testing.assert_close(found[-1], arrays[f"smp.mv.n{steps}.zero.out"], rtol=1e-5, atol=1e-3)
    # What theirs adds by a little noise at each step is left out: it moves the outcome by this much.
    assert (found[-1] - arrays[f"smp.mv.n{steps}.rng.out"]).abs().max().item() < 0.15


def test_published_sampler_with_one_scale(arrays, conditioning, schedule):
    denoise = Denoiser(Formula(), conditioning, torch.full((FRAMES,), 2.0))
    *_, last = sample(denoise, sampling_scheduler(schedule, "published", 20), arrays["smp.noise"])
    torch.testing.assert_close(last.latents, arrays["smp.vanilla.n20.zero.out"], rtol=1e-5, atol=1e-3)


def test_both_samplers_come_to_the_same_latents(arrays, conditioning, scales, schedule):
    """The given latents must be scaled as DPM-Solver scales its states, or the fast sampler ends elsewhere."""
    ends = []
    for sampler, steps in [("published", 1000), ("fast", 200)]:
        walk = sampling_scheduler(schedule, sampler, steps)
        *_, last = sample(Denoiser(Formula(), conditioning, scales), walk, arrays["smp.noise"])
        ends.append(last.latents)
    deviation = (ends[0] - ends[1]).abs().flatten(1).amax(dim=1)
    given = arrays["smp.mask"]
    # The fast sampler goes to zero from twice the noise level.
    assert deviation[given].max().item() < 0.04 * ends[0][given].std().item()
    # The formula is no denoiser but a sine of its input, which makes the other frames hard to follow.
    assert deviation[~given].max().item() < 0.01 * ends[0][~given].std().item()


def test_guidance_costs_a_second_half_only_where_it_applies(arrays, conditioning, scales, schedule):
    # Noise levels 84.9, 32.4, 12.3, 4.72, 1.81, 0.685, 0.259, 0.102.
    interval = GuidanceInterval(0.2, 11)

    def frames(scales, interval=None):
        network = Formula()
        walk = sampling_scheduler(schedule, "fast", 8)
        list(sample(Denoiser(network, conditioning, scales, interval=interval), walk, arrays["smp.noise"]))
        return network.frames

    assert frames(scales) == [16] * 8
    assert frames(scales, interval) == [8, 8, 8, 16, 16, 16, 16, 8]
    assert frames(torch.ones(FRAMES)) == [8] * 8


def test_outside_the_interval_the_conditional_estimate_is_used(arrays, conditioning, scales):
    visible, sigma, index = arrays["den.in.x"], 3.0, torch.tensor(500)
    outside = Denoiser(Formula(), conditioning, scales, interval=GuidanceInterval(5, 6))(visible, index, sigma)
    alone = Denoiser(Formula(), conditioning, torch.ones(FRAMES))(visible, index, sigma)
    guided = Denoiser(Formula(), conditioning, scales)(visible, index, sigma)
    assert torch.equal(outside, alone)
    assert not torch.equal(guided, alone)


def test_latents_may_be_changed_between_steps(arrays, schedule):
    walk = sampling_scheduler(schedule, "published", 3)
    seen = []

    def denoise(visible, _timestep, sigma):
        seen.append(visible * (sigma**2 + 1) ** 0.5)
        return torch.zeros_like(visible)

    for step in sample(denoise, walk, arrays["smp.noise"]):
        if step.index == 1:
            step.latents = torch.full_like(step.latents, 3.0)
    torch.testing.assert_close(seen[2], torch.full_like(seen[2], 3.0))
