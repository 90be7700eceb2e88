"""How good the picture of a view is, from the picture alone: whether motion has blurred it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# Differences over 2 pixels, and over 8 of a picture without its detail.
_FINE, _COARSE = 1, 4
# Standard deviations in pixels: fine differences are to see edges, not the noise of pixels.
_NOISE, _DETAIL = 0.7, 2.0


def sharpness(image: Tensor) -> float:
    """Return how sharp a picture is, 0 to 1, compared with what it shows.

    It is the energy of differences over 2 pixels, over that of differences over 8: an edge that is blurred over b
    pixels keeps its height, and its fine differences have 1 / b of the energy. So what is seen, how bright it is and
    how much contrast it has matter little. Motion blurs in one direction: of rows and columns the blurrier counts.

    :param image: [H, W, 3] uint8 RGB; smaller than 10 pixels a side, or of one colour, it is as sharp as can be: 1.
    """
    gray = cv2.cvtColor(image.cpu().numpy(), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.GaussianBlur(gray, (3, 3), _NOISE)
    coarse = cv2.GaussianBlur(fine, (0, 0), _DETAIL)
    if min(gray.shape) <= 2 * _COARSE:
        return 1.0
    pairs = [(_energy(fine, _FINE, axis), _energy(coarse, _COARSE, axis)) for axis in (0, 1)]
    return min((min(1.0, small / large) for small, large in pairs if large > 0), default=1.0)


def _energy(gray: NDArray[Any], reach: int, axis: int) -> float:
    """Return the mean square of differences between pixels ``reach`` before and after each, along an axis."""
    lines = gray if axis == 0 else gray.T
    return float(np.square(lines[2 * reach :] - lines[: -2 * reach]).mean())
