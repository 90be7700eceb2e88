"""Messages of a camera as arrays, whichever of its types a driver sends: ``Image`` or ``CompressedImage``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.compressed_images import (
    color_from_compressed_message,
    compressed_size,
    depth_from_compressed_message,
)
from vmem_ros.messages.image_rows import picture_size
from vmem_ros.messages.images import depth_from_message, image_from_message
from vmem_ros.types import MAX_DEPTH_M

# A median depth outside this range means that the unit of the encoding was not kept.
_PLAUSIBLE_MEDIAN_DEPTH_M = (0.02, 500.0)


@dataclass(frozen=True, eq=False)
class DepthImage:
    """What a depth camera measured.

    :param depth: [H, W] float32 z-depth in metres; NaN unknown, +Inf looked and saw nothing.
    :param absurd: pixels whose depth was finite and beyond :data:`~vmem_ros.types.MAX_DEPTH_M`; they are unknown.
    """

    depth: NDArray[np.float32]
    absurd: int


def size_of(message: Any) -> tuple[int, int]:
    """Return width and height of an image, from its head alone: nothing is decoded.

    :raises InvalidImageError: empty or damaged.
    """
    return compressed_size(message) if _is_compressed(message) else picture_size(message)


def color_of(message: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB.

    :raises InvalidImageError: an encoding or format that is not read, truncated, damaged, or depth.
    """
    return color_from_compressed_message(message) if _is_compressed(message) else image_from_message(message)


def depth_of(message: Any) -> DepthImage:
    """Return the depth of a camera, without what cannot be.

    :raises InvalidImageError: an encoding or format that is not read, truncated, damaged, or depths in another unit
        than the encoding has.
    """
    compressed = _is_compressed(message)
    depth = depth_from_compressed_message(message) if compressed else depth_from_message(message)
    finite = np.isfinite(depth)
    absurd = finite & (depth > MAX_DEPTH_M)
    known = depth[finite & ~absurd]
    # Where nothing else is known, absurd ones say what unit it is.
    median = float(np.median(known if known.size else depth[finite])) if finite.any() else None
    low, high = _PLAUSIBLE_MEDIAN_DEPTH_M
    if median is not None and not low <= median <= high:
        encoding = message.format if compressed else message.encoding
        unit = "metres" if encoding.startswith("32FC1") else "millimetres"
        raise InvalidImageError(
            f"the median depth is {median:g} m, outside {low:g} to {high:g} m: {encoding} holds {unit} (REP-118), so "
            "the unit is probably wrong"
        )
    depth[absurd] = np.nan
    return DepthImage(depth, int(absurd.sum()))


def _is_compressed(message: Any) -> bool:
    return hasattr(message, "format")
