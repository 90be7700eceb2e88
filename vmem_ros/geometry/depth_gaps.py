"""Small gaps of a depth image, closed along surfaces and never across edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem_ros.geometry.one_surface import Array, OneSurface

#: Tangent of 80 degrees: both ends of a gap on a surface that is seen at a smaller angle may differ by so much.
STEEPEST = 5.7
#: Where thin gaps cross, the second round finds both ends.
ROUNDS = 2


@dataclass(frozen=True, eq=False)
class GapEnds:
    """Where a row, or a column, of pixels becomes known again, before and after n pixels in narrow gaps.

    :param pixel: [n] int64, numbered row by row.
    :param before: [n] int64: the first known pixel before it, and how many pixels away: ``to_before`` [n] float32.
    :param after: likewise.
    """

    pixel: NDArray[np.intp]
    before: NDArray[np.intp]
    to_before: Array
    after: NDArray[np.intp]
    to_after: Array

    def between(self, values: Array) -> Array:
        """Return values [P] or [P, C] of all pixels, linearly between both ends: [n] or [n, C]."""
        share = self.to_before / (self.to_before + self.to_after)
        share = share.reshape(-1, *[1] * (values.ndim - 1))
        out: Array = values.take(self.before, 0) * (1 - share) + values.take(self.after, 0) * share
        return out

    def on(self, surface: OneSurface, inverse: Array) -> NDArray[np.bool_]:
        """Return [n] bool: both ends are on one surface, by the inverse depth [P] of all pixels."""
        before, after = inverse.take(self.before), inverse.take(self.after)
        limit = surface.limit(np.maximum(before, after), pixels=self.to_before + self.to_after, tangent=STEEPEST)
        on_one: NDArray[np.bool_] = (np.minimum(before, after) > 0) & (np.abs(before - after) <= limit)
        return on_one


def gap_ends(known: NDArray[np.bool_], gaps: NDArray[np.bool_], widest: int) -> Iterator[GapEnds]:
    """Yield the ends of gaps at most ``widest`` pixels wide: along rows, then along columns.

    :param known: [H, W] bool; the border of the picture is no end.
    :param gaps: [H, W] bool: pixels that are asked for, all of them unknown.
    """
    flat = known.ravel()
    for step, shape in ((1, (1, widest + 1)), (known.shape[1], (widest + 1, 1))):
        pixel = np.flatnonzero(_closed_by(known, shape) & gaps)
        before, to_before = _first_known(flat, pixel, -step, widest)
        after, to_after = _first_known(flat, pixel, step, widest)
        yield GapEnds(pixel, before, to_before, after, to_after)


def close_gaps(
    inverse: Array, surface: OneSurface, *, widest: int, edges: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return inverse depth [H, W] with its small gaps closed.

    A gap is closed along a row or a column, linearly between its ends, as a plane would be, if it is at most ``widest``
    pixels wide there and both ends are on one surface. Where row and column both have near ends, both must agree: where
    one does not, an edge runs through the gap.

    :param inverse: [H, W] float32 in 1 / m; NaN unknown, 0 infinitely far. Known pixels stay as they are, and
        between a surface and infinity nothing is closed.
    :param edges: [H, W] bool: pixels that stay unknown, such as readings that were removed.
    """
    out = inverse.copy()
    for _ in range(ROUNDS if widest else 0):
        known = ~np.isnan(out)
        gaps = ~known if edges is None else ~(known | edges)
        # One value of each direction; of a pixel that one of them refuses the sum is NaN.
        total, count = np.zeros((2, out.size), np.float32)
        for ends in gap_ends(known, gaps, widest):
            total[ends.pixel] += np.where(ends.on(surface, out.ravel()), ends.between(out.ravel()), np.float32(np.nan))
            count[ends.pixel] += 1
        closed = np.flatnonzero(count)
        out.ravel()[closed] = total[closed] / count[closed]
    return out


def _closed_by(known: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a line of some shape, wherever it is laid, meets what is known: gaps narrower than it close."""
    line, (down, right) = np.ones(shape, np.uint8), (shape[0] - 1, shape[1] - 1)
    # What is beyond the border is unknown. Lines of even length have no middle: what one reaches from its last pixel
    # the other must from its first.
    wide = cv2.copyMakeBorder(known.view(np.uint8), down, down, right, right, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.erode(cv2.dilate(wide, line, anchor=(right, down)), line, anchor=(0, 0))
    height, width = known.shape
    return closed[down : down + height, right : right + width].astype(bool)


def _first_known(
    known: NDArray[np.bool_], pixel: NDArray[np.intp], step: int, farthest: int
) -> tuple[NDArray[np.intp], Array]:
    """Return the first known pixel [n] from each pixel on, and how many steps it is away; one must be there."""
    found, distance = pixel + step, np.ones(len(pixel), np.float32)
    for away in range(2, farthest + 1):
        unknown = np.flatnonzero(~known.take(found))
        found[unknown] += step
        distance[unknown] = away
    return found, distance
