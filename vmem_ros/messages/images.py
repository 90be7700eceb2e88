"""Colour images, depth and other maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.color_decoding import decoded_color
from vmem_ros.messages.encodings import COLOR_ENCODINGS
from vmem_ros.messages.image_rows import rows_of
from vmem_ros.messages.message_types import MessageTypes

#: Depth encodings of REP-118 that are read: NumPy type and metres per unit.
DEPTH_ENCODINGS: dict[str, tuple[str, float]] = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 1e-3)}


def image_to_message(types: MessageTypes, image: Tensor | NDArray, head: Any) -> Any:
    """Return uint8 [H, W, 3] RGB as a ``sensor_msgs/msg/Image``, ``rgb8``."""
    return _to_message(types, image, "rgb8", 3, head)


def map_to_message(types: MessageTypes, values: Tensor | NDArray, head: Any) -> Any:
    """Return a float32 [H, W] map (depth in metres, confidence) as a ``sensor_msgs/msg/Image``, ``32FC1``."""
    return _to_message(types, values, "32FC1", 4, head)


def _to_message(types: MessageTypes, pixels: Tensor | NDArray, encoding: str, pixel_bytes: int, head: Any) -> Any:
    height, width = pixels.shape[:2]
    return types.make(
        "sensor_msgs/msg/Image",
        header=head,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixel_bytes * width,
        data=types.bytes_of(pixels),
    )


def jpeg_to_message(types: MessageTypes, image: Tensor | NDArray, head: Any, *, quality: int) -> Any:
    """Return uint8 [H, W, 3] RGB as a ``sensor_msgs/msg/CompressedImage``, with the format string of image_transport.

    :param quality: of the JPEG, 1 to 100.
    """
    rgb = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return types.make(
        "sensor_msgs/msg/CompressedImage", header=head, format="rgb8; jpeg compressed bgr8", data=types.bytes_of(data)
    )


def image_from_message(message: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB of a message in one of :data:`~.encodings.COLOR_ENCODINGS`; 16 bits are scaled to 8.

    :raises InvalidImageError: another encoding, truncated, or of a size that the encoding cannot have.
    """
    encoding = COLOR_ENCODINGS.get(message.encoding)
    if encoding is None:
        raise InvalidImageError(
            f"colour images must be {', '.join(COLOR_ENCODINGS)}, got {message.encoding!r}: set another pixel format "
            "in the driver, or convert the image (image_proc)"
        )
    return decoded_color(message, encoding)


def depth_from_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] metres of a ``32FC1`` or ``16UC1`` message: NaN unknown, +Inf nothing in range (REP-117)."""
    if message.encoding not in DEPTH_ENCODINGS:
        raise InvalidImageError(
            f"depth images must be {' (metres) or '.join(DEPTH_ENCODINGS)} (millimetres), got '{message.encoding}'"
        )
    name, metres = DEPTH_ENCODINGS[message.encoding]
    with np.errstate(invalid="ignore"):  # of NaNs that signal
        depth = rows_of(message, name, message.width).astype(np.float32) * np.float32(metres)
    return np.where(depth > 0, depth, np.float32(np.nan))


def map_from_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] float32 of a ``32FC1`` message as it is (confidence)."""
    if message.encoding != "32FC1":
        raise InvalidImageError(f"maps must be 32FC1, got '{message.encoding}'")
    return rows_of(message, "f4", message.width).astype(np.float32)
