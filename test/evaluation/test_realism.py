"""What was invented beside the truth: fog is told from things, whatever things."""

from __future__ import annotations

import math

import pytest
import torch

from vmem_ros.evaluation.perceptual import perceptual_network
from vmem_ros.evaluation.realism import gradient_energy, kernel_distance, realism
from vmem_ros.geometry import Camera
from vmem_ros.scenes import House
from vmem_ros.types import Target

CAMERA = Camera.from_fov(128, 128, 75)
ALL = torch.ones(128, 128, dtype=torch.bool)


@pytest.fixture(scope="module")
def pictures():
    """Pictures of a house, and of the same places after they were turned into fog."""
    house = House(1_000_000)
    poses = house.random_walk(12, 0, step=0.5)
    images = [house.view(Target(CAMERA, T)).image for T in poses]
    fog = [image.float().mean(dim=(0, 1)).expand(128, 128, 3).to(torch.uint8) for image in images]
    return images, fog


def test_fog_is_far_from_the_truth_and_other_things_are_near(pictures):
    images, fog = pictures
    others = realism(images[:6], images[6:], [ALL] * 6)
    foggy = realism(fog[6:], images[6:], [ALL] * 6)
    assert foggy.kernel_distance > 3 * abs(others.kernel_distance)
    assert foggy.gradient_energy == 0
    assert 0.2 < others.gradient_energy < 5
    same = realism(images[6:], images[6:], [ALL] * 6)
    assert same.kernel_distance <= 0
    assert same.gradient_energy == 1


def test_only_what_was_invented_is_judged(pictures):
    images, fog = pictures
    right = ALL.clone()
    right[:, :64] = False
    half = [torch.where(right[..., None], image, gray) for image, gray in zip(images, fog, strict=True)]
    assert realism(half, images, [right] * 12).gradient_energy == 1
    assert realism(half, images, [~right] * 12).gradient_energy == 0
    little = torch.zeros_like(ALL)
    little[:8, :8] = True
    assert math.isnan(realism(images, images, [little] * 12).kernel_distance)
    nothing = realism(images, images, [~ALL] * 12)
    assert math.isnan(nothing.kernel_distance)
    assert math.isnan(nothing.gradient_energy)


def test_the_kernel_distance_is_unbiased_and_knows_no_scale():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(400, 8, generator=generator) for _ in range(2))
    near, far = kernel_distance(x, y), kernel_distance(x + 1, y)
    assert abs(near) < 0.05 < far
    assert kernel_distance(10 * x, 10 * y) == pytest.approx(near, rel=1e-6)
    small = [kernel_distance(a, b) for a, b in zip(x.split(20), y.split(20), strict=True)]
    assert abs(sum(small) / len(small)) < 3 * torch.tensor(small).std() / len(small) ** 0.5


def test_gradients_are_counted_between_pixels_of_the_mask():
    image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    image[:, :, 2:] = 3
    assert gradient_energy(image, torch.ones(1, 4, 4, dtype=torch.bool)) == 4 * 3 * 9
    assert gradient_energy(image, image[..., 0] > 0) == 0


def test_the_network_sees_a_cell_for_sixteen_pixels():
    features = perceptual_network()(torch.zeros(1, 128, 96, 3, dtype=torch.uint8))
    assert features.shape == (1, 512, 7, 5)
