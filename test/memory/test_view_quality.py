"""The sharpness of pictures, whatever they show."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from memories import memory_of
from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.memory.view_quality import sharpness

CAMERA = Camera.from_fov(120, 120, 80)


def pattern(size: int = 120) -> np.ndarray:
    """Return a picture of rectangles [size, size, 3]: sharp edges in both directions."""
    rng = np.random.default_rng(3)
    out = np.full((size, size, 3), 90, np.uint8)
    for _ in range(40):
        x, y, w, h = rng.integers(0, size, 2).tolist() + rng.integers(8, 40, 2).tolist()
        cv2.rectangle(out, (x, y), (x + w, y + h), rng.integers(20, 235, 3).tolist(), -1)
    return out


def blurred(image: np.ndarray, pixels: int, *, down: bool = False) -> np.ndarray:
    return cv2.blur(image, (1, pixels) if down else (pixels, 1))


def value(image: np.ndarray) -> float:
    return sharpness(torch.from_numpy(image))


@pytest.mark.parametrize("down", [False, True])
def test_it_falls_with_every_pixel_of_motion(down: bool) -> None:
    values = [value(blurred(pattern(), n, down=down)) for n in (1, 3, 5, 9, 15)]
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.6 * values[0]


def test_contrast_brightness_and_noise_matter_little() -> None:
    sharp = value(pattern())
    noisy = (pattern() + np.random.default_rng(0).normal(scale=4, size=(120, 120, 3))).clip(0, 255).astype(np.uint8)
    assert value(pattern() // 2) == pytest.approx(sharp, rel=0.05)
    assert value(pattern() // 2 + 60) == pytest.approx(sharp, rel=0.05)
    assert value(noisy) == pytest.approx(sharp, rel=0.15)


def test_a_blurred_picture_of_one_thing_is_less_sharp_than_a_sharp_one_of_another() -> None:
    other = np.ascontiguousarray(pattern()[::-1, ::-1])
    assert value(blurred(pattern(), 7)) < 0.6 * value(other)


@pytest.mark.parametrize("size", [(120, 120), (9, 40), (3, 3), (1, 1)])
def test_one_colour_is_as_sharp_as_can_be(size: tuple[int, int]) -> None:
    assert value(np.full((*size, 3), 77, np.uint8)) == 1.0


def test_the_store_knows_which_views_are_blurred() -> None:
    view = box_view(CAMERA, orbit(12)[0])
    sharp, motion = (
        dataclasses.replace(view, image=torch.from_numpy(image)) for image in (pattern(), blurred(pattern(), 9))
    )
    one, other = memory_of([sharp, motion])._store.sharpness.tolist()
    assert other < 0.6 * one
