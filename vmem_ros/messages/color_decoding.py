"""RGB of 8 bits out of all encodings of colour: the common ones here, the others by cv_bridge or OpenCV."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.cv_bridge_package import find_cv_bridge
from vmem_ros.messages.encodings import ColorEncoding
from vmem_ros.messages.image_rows import picture_size, rows_of

# OpenCV leaves a mosaic black that is smaller: the inner pixels lend the border their colour.
_SMALLEST_BAYER = 3


def decoded_color(message: Any, encoding: ColorEncoding) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB of a ``sensor_msgs/msg/Image``.

    What is not only a matter of order goes through cv_bridge where it is installed and knows it, and through the same
    conversions of OpenCV elsewhere.

    :param encoding: what its encoding stands for.
    :raises InvalidImageError: truncated, or of a size that the encoding cannot have.
    """
    width, height = picture_size(message)
    _check_size(message.encoding, encoding, width, height)
    samples = _samples(message, encoding, width, height)
    bridge = find_cv_bridge() if encoding.bridge else None
    if bridge is not None:
        return np.asarray(bridge.imgmsg_to_cv2(_like_message(samples, encoding.bridge), "rgb8"), np.uint8)
    pixels = _converted(samples, encoding) if encoding.order is None else samples[..., encoding.order]
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    return np.ascontiguousarray(pixels)


def _check_size(name: str, encoding: ColorEncoding, width: int, height: int) -> None:
    if encoding.even and (width % 2 or (encoding.planes and height % 2)):
        sides = "width and height" if encoding.planes else "width"
        raise InvalidImageError(f"an image in {name} must have an even {sides}, got {width} x {height}")
    if name.startswith("bayer_") and min(width, height) < _SMALLEST_BAYER:
        raise InvalidImageError(f"an image in {name} must be at least 3 x 3, got {width} x {height}")


def _samples(message: Any, encoding: ColorEncoding, width: int, height: int) -> NDArray:
    """Return [H, W, channels], or the [rows, W] of planes as OpenCV takes them."""
    if encoding.planes == "4:2:0":
        return rows_of(message, encoding.dtype, width, rows=height * 3 // 2)
    if encoding.planes == "4:4:4":
        # A row of colour is two of brightness long.
        planes = rows_of(message, encoding.dtype, width, rows=height * 3)
        brightness, color = planes[:height], planes[height:].reshape(height, 2 * width)
        # Half the colour of a picture of twice the size is all of this one's.
        return np.concatenate([brightness.repeat(2, 0).repeat(2, 1), color])
    return rows_of(message, encoding.dtype, width * encoding.channels).reshape(height, width, encoding.channels)


def _converted(samples: NDArray, encoding: ColorEncoding) -> NDArray:
    assert encoding.code is not None
    pixels = cv2.cvtColor(samples, encoding.code)
    return pixels[::2, ::2] if encoding.planes == "4:4:4" else pixels


def _like_message(samples: NDArray, encoding: str) -> Any:
    """Return what cv_bridge reads of a message: without padding, in the machine's byte order."""
    height, width = samples.shape[:2]
    data = np.ascontiguousarray(samples).tobytes()
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=0, step=len(data) // height, data=data
    )
