"""Image, depth and pose metrics against values known in closed form and against an independent implementation."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vmem_ros.errors import InvalidImageError
from vmem_ros.evaluation.metrics import (
    depth_errors,
    exposure_corrected,
    median_relative_depth_error,
    pose_error,
    psnr,
    ssim,
)
from vmem_ros.geometry import look_at


def noise(seed: int, size: tuple[int, int] = (60, 80)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (1, 3, size[0] // 4, size[1] // 4), generator=generator).float()
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0].permute(1, 2, 0).to(torch.uint8)


@pytest.mark.parametrize("offset", [1, 10, 100])
def test_psnr_of_a_constant_offset(offset):
    image = torch.full((20, 30, 3), 50, dtype=torch.uint8)
    assert psnr(image + offset, image) == pytest.approx(20 * math.log10(255 / offset))


def test_psnr_of_equal_pictures_is_infinite_and_a_mask_chooses_pixels():
    image = noise(0)
    other = image.clone()
    other[:10] = 255 - other[:10]
    mask = torch.zeros(image.shape[:2], dtype=torch.bool)
    mask[10:] = True
    assert psnr(image, image) == math.inf
    assert psnr(other, image) < 20
    assert psnr(other, image, mask=mask) == math.inf
    assert math.isnan(psnr(other, image, mask=~mask & mask))


def test_ssim_of_two_flat_pictures_is_the_luminance_term():
    a, b = 100 / 255, 180 / 255
    c1 = 0.01**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    flat = [torch.full((16, 16, 3), v, dtype=torch.uint8) for v in (100, 180)]
    assert ssim(*flat) == pytest.approx(expected, abs=1e-9)


def test_ssim_agrees_with_scipys_gaussian_filter():
    x, y = noise(1), noise(2)
    y = (0.6 * x.float() + 0.4 * y.float()).to(torch.uint8)
    a, b = x.double().numpy(), y.double().numpy()

    def local_mean(t):
        return gaussian_filter(t, sigma=(1.5, 1.5, 0), truncate=3.5)

    ma, mb = local_mean(a), local_mean(b)
    va, vb, ab = local_mean(a * a) - ma**2, local_mean(b * b) - mb**2, local_mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    full = (2 * ma * mb + c1) * (2 * ab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert ssim(x, y) == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-9)
    assert ssim(x, x) == pytest.approx(1.0)


def test_pictures_of_different_size_or_type_are_refused():
    with pytest.raises(InvalidImageError, match="80 x 60 but the reference is 40 x 60"):
        psnr(noise(0), noise(0, (60, 40)))
    with pytest.raises(InvalidImageError, match="uint8"):
        ssim(noise(0).float(), noise(0))
    with pytest.raises(InvalidImageError, match="at least 11 x 11"):
        ssim(noise(0, (8, 40)), noise(0, (8, 40)))


def test_depth_errors_count_only_where_both_are_known():
    truth = torch.tensor([[1.0, 2.0, 4.0, float("inf")]])
    depth = torch.tensor([[1.1, 2.0, float("nan"), 3.0]])
    errors = depth_errors(depth, truth)
    assert errors.abs_rel == pytest.approx(0.05)
    assert errors.median_m == pytest.approx(0.0)
    assert errors.coverage == pytest.approx(2 / 3)
    nothing = depth_errors(torch.full((1, 4), math.nan), truth)
    assert nothing.coverage == 0
    assert math.isnan(nothing.abs_rel)


@pytest.mark.parametrize("angle_deg", [1e-4, 30.0, 179.0])
def test_pose_error_of_a_known_motion(angle_deg):
    T = look_at((1.0, 2.0, 1.0), (4.0, 0.0, 1.5))
    a = math.radians(angle_deg)
    turned = T.clone()
    turned[:3, :3] = T[:3, :3] @ torch.tensor(
        [[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]], dtype=torch.float64
    )
    turned[:3, 3] += torch.tensor([0.0, 3.0, 4.0], dtype=torch.float64)
    error = pose_error(turned, T)
    assert error.rotation_deg == pytest.approx(angle_deg, rel=1e-6)
    assert error.translation_m == pytest.approx(5.0)
    assert np.allclose((pose_error(T, T).rotation_deg, pose_error(T, T).translation_m), 0)


def test_ssim_of_a_part_knows_nothing_of_the_rest():
    x, y = noise(1), noise(2)
    mask = torch.zeros(60, 80, dtype=torch.bool)
    mask[10:50, 20:60] = True
    part = ssim(x, y, mask=mask)
    spoilt = torch.where(mask[..., None], y, 0)
    assert ssim(x, spoilt, mask=mask) == part
    assert ssim(x, spoilt) != pytest.approx(ssim(x, y), abs=1e-3)
    assert ssim(x, torch.where(mask[..., None], x, 0), mask=mask) == pytest.approx(1.0)
    assert ssim(x, y, mask=torch.ones_like(mask)) == pytest.approx(ssim(x, y), abs=1e-12)
    assert math.isnan(ssim(x, y, mask=torch.zeros_like(mask)))


def test_exposure_is_corrected_by_a_gain_and_an_offset_of_each_channel():
    image = noise(3).clamp(60, 140)
    gain, offset = torch.tensor([0.5, 1.0, 1.25]), torch.tensor([20.0, -15.0, 5.0])
    other = (image.float() * gain + offset).round().to(torch.uint8)
    corrected = exposure_corrected(image, other)
    assert int((corrected.int() - other.int()).abs().max()) <= 1
    # What lies beyond the mask has no say, but gets the same.
    mask = torch.zeros(60, 80, dtype=torch.bool)
    mask[:30] = True
    spoilt = torch.where(mask[..., None], other, 255 - other)
    fitted = exposure_corrected(image, spoilt, mask=mask)
    assert int((fitted.int() - other.int()).abs().max()) <= 1


def test_exposure_that_cannot_be_told_stays_or_becomes_the_mean():
    image, other = noise(4), noise(5)
    assert torch.equal(exposure_corrected(image, other, mask=torch.zeros(60, 80, dtype=torch.bool)), image)
    flat = torch.full_like(image, 77)
    mean = other.double().mean(dim=(0, 1)).round()
    assert torch.equal(exposure_corrected(flat, other)[0, 0].double(), mean)


def test_relative_error_of_depth_is_a_median_where_both_are_known():
    truth = torch.tensor([[2.0, 4.0, 5.0, torch.nan, 1.0]])
    depth = torch.tensor([[2.2, 4.0, 10.0, 1.0, torch.inf]])
    assert median_relative_depth_error(depth, truth) == pytest.approx(0.1)
    assert median_relative_depth_error(depth, truth, mask=torch.tensor([[False, False, True, True, True]])) == 1.0
    assert math.isnan(median_relative_depth_error(depth, torch.full_like(truth, torch.nan)))
