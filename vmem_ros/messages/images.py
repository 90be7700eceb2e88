"""Colour images, depth and other maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.message_types import MessageTypes

#: Colour encodings that are read, with the order in which their channels make RGB.
COLOR_CHANNELS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
#: Depth encodings of REP-118 that are read: NumPy type and metres per unit.
DEPTH_ENCODINGS: dict[str, tuple[str, float]] = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 1e-3)}

# A median depth outside this range means that the unit of the encoding was not kept.
_PLAUSIBLE_MEDIAN_DEPTH_M = (0.02, 500.0)


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
    """Return [H, W, 3] RGB of a message in one of :data:`COLOR_CHANNELS`."""
    if message.encoding not in COLOR_CHANNELS:
        raise InvalidImageError(
            f"colour images must be {', '.join(COLOR_CHANNELS)}, got '{message.encoding}': convert it, e.g. with "
            "image_proc or cv_bridge"
        )
    channels, order = COLOR_CHANNELS[message.encoding]
    pixels = _pixels(message, np.dtype("u1"), channels)
    return np.ascontiguousarray(pixels[..., order])


def depth_from_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] metres of a ``32FC1`` or ``16UC1`` message: NaN unknown, +Inf nothing in range (REP-117)."""
    if message.encoding not in DEPTH_ENCODINGS:
        raise InvalidImageError(
            f"depth images must be {' (metres) or '.join(DEPTH_ENCODINGS)} (millimetres), got '{message.encoding}'"
        )
    name, metres = DEPTH_ENCODINGS[message.encoding]
    order = ">" if message.is_bigendian else "<"
    raw = _pixels(message, np.dtype(order + name), 1)[..., 0]
    depth = raw.astype(np.float32) * np.float32(metres)
    depth[~(depth > 0)] = np.nan
    known = depth[np.isfinite(depth)]
    low, high = _PLAUSIBLE_MEDIAN_DEPTH_M
    if known.size and not low <= (median := float(np.median(known))) <= high:
        raise InvalidImageError(
            f"the median depth is {median:g} m, outside {low:g} to {high:g} m: {message.encoding} holds "
            f"{'metres' if name == 'f4' else 'millimetres'} (REP-118), so the unit is probably wrong"
        )
    return depth


def map_from_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] float32 of a ``32FC1`` message as it is (confidence)."""
    if message.encoding != "32FC1":
        raise InvalidImageError(f"maps must be 32FC1, got '{message.encoding}'")
    return _pixels(message, np.dtype(">f4" if message.is_bigendian else "<f4"), 1)[..., 0].astype(np.float32)


def _pixels(message: Any, dtype: np.dtype, channels: int) -> NDArray:
    """Return [H, W, channels] of an image message, honouring its step; the result may alias the message."""
    height, width, step = message.height, message.width, message.step
    row = width * channels * dtype.itemsize
    if height < 1 or width < 1:
        raise InvalidImageError(f"the image is empty: {width} x {height}")
    if step < row:
        raise InvalidImageError(f"step is {step} bytes, but {width} pixels of {message.encoding} need {row}")
    if len(message.data) != step * height:
        raise InvalidImageError(
            f"data has {len(message.data)} bytes, but {height} rows of {step} make {step * height}: truncated?"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    return np.ascontiguousarray(rows).view(dtype).reshape(height, width, channels)
