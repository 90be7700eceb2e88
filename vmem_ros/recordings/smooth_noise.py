"""Random numbers that change slowly: drift, and errors that neighbours share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def smooth_noise(
    shape: tuple[int, ...], *, over: float, axes: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return normal numbers of variance 1 that are alike over a distance along some axes.

    :param over: standard deviation of the Gaussian that joins neighbours, in steps along ``axes``; 0: white noise.
    """
    if over <= 0:
        return rng.normal(size=shape)
    # Smoothed as if the noise went on for ever: at the ends it varies as much as in the middle.
    margin = int(np.ceil(4 * over))
    wide = tuple(size + 2 * margin * (axis in axes) for axis, size in enumerate(shape))
    noise = gaussian_filter(rng.normal(size=wide), [over if axis in axes else 0 for axis in range(len(shape))])
    impulse = np.zeros((2 * margin + 1,) * len(axes))
    impulse[(margin,) * len(axes)] = 1
    noise /= np.sqrt((gaussian_filter(impulse, over) ** 2).sum())
    return noise[
        tuple(slice(margin, margin + size) if axis in axes else slice(None) for axis, size in enumerate(shape))
    ]
