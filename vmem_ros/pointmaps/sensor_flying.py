"""Flying pixels: readings at depth edges that mix both surfaces and lie on neither."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem_ros.geometry.one_surface import Array, OneSurface

#: Tangent of 84 degrees: what is steeper from pixel to pixel is not taken for a surface.
STEEPEST = 10.0
#: Fewer neighbours of eight on the same surface than this: it stands alone.
FEWEST = 2
#: Beside a gap, surfaces are flatter than this part of the step into it.
FLATTER = 0.5
_AROUND = 2


def flying_pixels(inverse: Array, surface: OneSurface) -> NDArray[np.bool_]:
    """Return [H, W] bool: pixels whose reading lies between two surfaces.

    A pixel is one if neighbours are nearer and others farther than it, by more than a surface's slant and the sensor's
    noise allow, and if

    - fewer than two of its eight neighbours are on its surface, or
    - it is on a step between a nearer neighbour and a farther one opposite, where at least one side is flat beyond: a
      row of mixed pixels along an edge agrees in itself. A surface seen at a grazing angle goes on on both sides.

    Thin structures are nearer than what is around them, not between, and stay.

    :param inverse: [H, W] float32 inverse depth in 1 / m; NaN unknown, 0 infinitely far.
    """
    # fmax and fmin take the number where the other is NaN.
    nearest = cv2.dilate(np.fmax(inverse, np.float32(0)), np.ones((3, 3), np.uint8))
    farthest = cv2.erode(np.fmin(inverse, np.float32(np.inf)), np.ones((3, 3), np.uint8))
    share = np.float32(STEEPEST / surface.focal)
    # False of what is unknown or infinitely far.
    between = (nearest > inverse * (1 + share)) & (farthest < inverse * (1 - share))
    rows, columns = between.nonzero()
    around = np.pad(inverse, _AROUND, constant_values=np.nan)
    width = around.shape[1]
    place, values = (rows + _AROUND) * width + columns + _AROUND, around.ravel()
    own = values[place]
    limit = surface.limit(own, pixels=1, tangent=STEEPEST)

    supports = np.zeros(len(own), int)
    nearer, farther, on_step = (np.zeros(len(own), bool) for _ in range(3))
    for step in (1, width, width + 1, width - 1):
        before, after = own - values[place - step], values[place + step] - own
        for rise, opposite in ((-before, after), (after, -before)):
            # What is not known is what it is on the other side: at the border of the picture, or beside a gap.
            supports += np.abs(np.where(np.isnan(rise), opposite, rise)) <= limit
            nearer |= rise > limit
            farther |= rise < -limit
        through = (before * after > 0) & (np.abs(before) > limit) & (np.abs(after) > limit)
        beyond = np.abs(values[place - step] - values[place - 2 * step]) < FLATTER * np.abs(before)
        beyond |= np.abs(values[place + 2 * step] - values[place + step]) < FLATTER * np.abs(after)
        on_step |= through & beyond
    flies = nearer & farther & ((supports < FEWEST) | on_step)
    out = np.zeros(inverse.shape, bool)
    out[rows[flies], columns[flies]] = True
    return out
