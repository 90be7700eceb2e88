"""Noise schedules against the published ones, and two samplers on a distribution whose exact denoiser is known."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from vmem_ros.benchmarking.analytic_denoiser import AnalyticDenoiser
from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.schedules import (
    log_spaced_timesteps,
    noise_levels,
    published_scheduler,
    published_timesteps,
    sampling_scheduler,
)


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return np.load(reference_dir / "sampler.npz")


@pytest.fixture(scope="module")
def schedule():
    return published_scheduler()


def test_noise_levels(arrays, schedule):
    # The betas are kept in float32, as every diffusers scheduler keeps them.
    np.testing.assert_allclose(noise_levels(schedule)[::-1], arrays["disc.n1000"][:-1], rtol=6e-6)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 50, 999])
def test_published_steps(arrays, schedule, steps):
    walk = sampling_scheduler(schedule, "published", steps)
    np.testing.assert_array_equal(walk.timesteps.numpy(), arrays[f"disc.n{steps}.timesteps"][::-1])
    np.testing.assert_allclose(walk.sigmas.numpy(), arrays[f"disc.n{steps}"], rtol=6e-6)
    assert walk.init_noise_sigma == pytest.approx((arrays["disc.n1000"][0] ** 2 + 1) ** 0.5)


def test_the_longest_published_schedule_visits_every_level():
    assert published_timesteps(1000) == list(range(999, -1, -1))


@pytest.mark.parametrize(
    "expected",
    [
        [999, 905, 794, 664, 521, 384, 271, 186, 125, 82, 51, 30, 16, 7, 3],
        [999, 862, 688, 488, 308, 182, 103, 55, 26, 10],
        [999, 816, 574, 331, 169, 79, 32, 10],
        [999, 749, 420, 180, 67, 19],
        [999, 570, 165, 31],
    ],
    ids=len,
)
def test_log_spaced_steps(schedule, expected):
    walk = sampling_scheduler(schedule, "fast", len(expected))
    assert walk.timesteps.tolist() == expected
    np.testing.assert_allclose(walk.sigmas[:-1].numpy(), noise_levels(schedule)[expected], rtol=1e-6)
    assert walk.sigmas[-1] == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 30, 60, 100, 500, 997])
def test_log_spaced_steps_never_repeat(schedule, steps):
    indices = log_spaced_timesteps(noise_levels(schedule), steps)
    assert indices[0] == 999
    assert len(indices) == steps
    assert all(a > b for a, b in pairwise(indices))


@pytest.mark.parametrize(("sampler", "steps"), [("published", 0), ("published", 1001), ("fast", 0), ("fast", 998)])
def test_wrong_number_of_steps(schedule, sampler, steps):
    with pytest.raises(ModelError, match=rf"num_inference_steps must be 1 to \d+ .*got {steps}"):
        sampling_scheduler(schedule, sampler, steps)


def test_unknown_sampler(schedule):
    with pytest.raises(ModelError, match="published, fast, got 'euler'"):
        sampling_scheduler(schedule, "euler", 10)


def test_schedule_survives_saving(schedule, tmp_path):
    schedule.save_pretrained(tmp_path)
    loaded = type(schedule).from_pretrained(tmp_path)
    for sampler in ("published", "fast"):
        walks = [sampling_scheduler(s, sampler, 15) for s in (schedule, loaded)]
        assert torch.equal(walks[0].sigmas, walks[1].sigmas)


def test_eight_log_spaced_steps_are_as_accurate_as_fifty_published_ones():
    denoiser = AnalyticDenoiser()
    errors = {run: denoiser.error(*run) for run in [("published", 50), ("published", 8), ("fast", 8), ("fast", 15)]}
    # Measured: 0.057, 0.151, 0.040 and 0.010.
    assert errors["fast", 8] < errors["published", 50] < 0.08
    assert errors["fast", 8] < errors["published", 8] / 3
    assert errors["fast", 15] < errors["fast", 8] / 3
