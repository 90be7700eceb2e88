"""Guidance: the multi-view rule against the published one, and the interval of noise levels."""

import math

import numpy as np
import pytest
import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.guidance import GuidanceInterval, guidance_scales, guide


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return {name: torch.from_numpy(array) for name, array in np.load(reference_dir / "sampler.npz").items()}


@pytest.mark.parametrize("minimum", [1.2, 1.0])
def test_scales_of_the_published_rule(arrays, minimum):
    found = guidance_scales(arrays["mv.c2w"], arrays["mv.K"], arrays["mv.mask"], minimum=minimum)
    assert torch.equal(found, arrays[f"mv.scale_float.min{minimum}"])


def test_scale_of_each_frame(arrays):
    wanted = arrays["mv.scale_tensor_in"]
    found = guidance_scales(arrays["mv.c2w"], arrays["mv.K"], arrays["mv.mask"], scale=wanted)
    assert torch.equal(found, arrays["mv.scale_tensor_out"])


def test_near_may_be_a_different_camera_in_rotation_and_position():
    turned = torch.eye(4).repeat(3, 1, 1)
    turned[1, :3, :3] = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    turned[1, 0, 3] = 3
    # Turned as the first, where the second is.
    turned[2, 0, 3] = 3
    K = torch.eye(3).repeat(3, 1, 1)
    given = torch.tensor([True, True, False])
    assert guidance_scales(turned, K, given)[2] == pytest.approx(1.2)
    assert guidance_scales(turned, K, given & torch.tensor([True, False, False]))[2] == 2


def test_the_minimum_does_not_raise_a_lower_scale():
    scales = guidance_scales(torch.eye(4)[None], torch.eye(3)[None], torch.tensor([True]), scale=1.0)
    assert scales.tolist() == [1.0]


def test_guidance_of_clean_latents(arrays):
    unconditional, conditional = arrays["mv.guider_in"].chunk(2)
    scales = guidance_scales(arrays["mv.c2w"], arrays["mv.K"], arrays["mv.mask"])
    torch.testing.assert_close(guide(unconditional, conditional, scales), arrays["mv.guider_out"])
    torch.testing.assert_close(guide(unconditional, conditional, torch.full((12,), 2.0)), arrays["mv.vanilla_out"])


def test_interval():
    interval = GuidanceInterval(0.2, 11)
    assert [sigma in interval for sigma in (0.1, 0.2, 5, 11, 11.1)] == [False, True, True, True, False]
    assert 84.9 in GuidanceInterval()


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (3, 2), (0, math.nan)])
def test_wrong_interval(low, high):
    with pytest.raises(ModelError, match="guidance_interval must be"):
        GuidanceInterval(low, high)
