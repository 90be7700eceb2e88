"""How much readings of one surface may differ from pixel to pixel: by its slant, and by the noise of the sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vmem_ros.geometry.depth_noise import DepthNoise

Array = NDArray[np.float32]

#: Noise makes two readings differ by more than three standard deviations of a difference once in 370 times.
DEVIATIONS = 3 * 2**0.5


@dataclass(frozen=True)
class OneSurface:
    """What neighbouring readings of one surface have in common.

    Everything is in inverse depth q = 1 / z, which is linear in the picture over a plane: it changes by ``q tan(slant)
    / f`` a pixel.

    :param noise: of the sensor.
    :param focal: focal length in pixels.
    """

    noise: DepthNoise
    focal: float

    def limit(self, inverse: Array, *, pixels: float | Array, tangent: float) -> Array:
        """Return by how much inverse depths [n] may differ over some pixels; more is another surface.

        :param inverse: [n] in 1 / m; where it is 0 the limit is 0 or NaN, and nothing is within it.
        :param pixels: between both readings; a number, or [n].
        :param tangent: of the largest slant that is taken for a surface.
        """
        with np.errstate(divide="ignore"):
            depth = torch.from_numpy(np.reciprocal(inverse))
        sigma = self.noise.sigma(depth, torch.ones_like(depth)).numpy()
        with np.errstate(invalid="ignore"):
            largest: Array = inverse * np.maximum(tangent * pixels / self.focal, DEVIATIONS * sigma * inverse)
        return largest
