"""Intrinsics that are numbers in a file: the forms they may have."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vmem_ros.errors import RecordingError
from vmem_ros.recordings.lens import lens_of

PINHOLE = [60.0, 62.0, 47.5, 35.5]
COEFFICIENTS = [-0.2, 0.05, 0.001, 0.002, 0.01, 0.03, -0.01, 0.002, 0.01, -0.004, 0.006, 0.002, 0.02, -0.03]


@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
def test_coefficients_of_opencv(count: int) -> None:
    d = COEFFICIENTS[:count]
    lens = lens_of([*PINHOLE, *d], (96, 72), whose="a file")
    K = lens.camera.K_opencv.numpy()
    ray = np.array([[0.3, -0.2, 1.0]])
    column, row = np.round(ray[0, :2] * K[[0, 1], [0, 1]] + K[:2, 2]).astype(int)
    ray[0, :2] = (np.array([column, row]) - K[:2, 2]) / K[[0, 1], [0, 1]]
    there = cv2.projectPoints(ray, np.zeros(3), np.zeros(3), K, np.array(d))[0].ravel()
    np.testing.assert_allclose([lens.rectifier.x[row, column], lens.rectifier.y[row, column]], there, atol=2e-3)


def test_no_coefficients() -> None:
    for values in (PINHOLE, [*PINHOLE, 0, 0, 0, 0], [[60.0, 0, 47.5], [0, 62.0, 35.5], [0, 0, 1]]):
        assert lens_of(values, (96, 72), whose="a file").rectifier is None


@pytest.mark.parametrize("count", [3, 7, 10])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(RecordingError, match=r"a file has numbers of shape .*with 4, 5, 8, 12 or 14 coefficients"):
        lens_of([*PINHOLE, *COEFFICIENTS[:count]], (96, 72), whose="a file")
