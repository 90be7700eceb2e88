"""``sensor_msgs/msg/CompressedImage``: colour as JPEG or PNG, and depth as image_transport's compressedDepth."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.images import DEPTH_ENCODINGS
from vmem_ros.messages.rvl import decode_rvl

_COMPRESSED_DEPTH = "compressedDepth"
# An enumeration, and the two parameters of the quantisation of 32FC1.
_HEAD = np.dtype([("kind", "<i4"), ("quant_a", "<f4"), ("quant_b", "<f4")])
_SIZE = np.dtype([("width", "<i4"), ("height", "<i4")])


def is_compressed_depth(message: Any) -> bool:
    """Return whether the format of a message is one of depth; old ones name the encoding alone."""
    return message.format.partition(";")[0].strip() in DEPTH_ENCODINGS or _COMPRESSED_DEPTH in message.format


def color_from_compressed_message(message: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB.

    :raises InvalidImageError: no JPEG or PNG, damaged, or depth.
    """
    if is_compressed_depth(message):
        raise InvalidImageError(f"a colour image is wanted, and {message.format!r} is depth")
    pixels = np.array(_decoded(message.data, message.format, "RGB"))
    # image_transport notes the order of the channels that its encoder took for blue, green, red.
    return np.ascontiguousarray(pixels[..., ::-1]) if "compressed rgb" in message.format else pixels


def depth_from_compressed_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] metres, NaN unknown.

    16UC1 holds millimetres. 32FC1 is quantised in inverse depth: ``a / (value - b)`` with a and b from the head.

    :raises InvalidImageError: another format, or damaged.
    """
    encoding, _, how = (part.strip() for part in message.format.partition(";"))
    words = how.split()
    if encoding not in DEPTH_ENCODINGS or (words and _COMPRESSED_DEPTH not in words):
        raise InvalidImageError(
            f"compressed depth must be '16UC1; compressedDepth png' or rvl, or 32FC1, got {message.format!r}"
        )
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < _HEAD.itemsize:
        raise InvalidImageError(f"compressed depth has {len(data)} bytes: truncated")
    head, rest = data[: _HEAD.itemsize].view(_HEAD)[0], data[_HEAD.itemsize :]
    raw = _rvl(rest) if "rvl" in words else np.array(_decoded(rest.data, message.format))
    if raw.ndim != 2 or not np.issubdtype(raw.dtype, np.integer):
        raise InvalidImageError(f"compressed depth is {raw.dtype} {list(raw.shape)}: one channel of 16 bits is read")
    values = raw.astype(np.float32)
    with np.errstate(divide="ignore"):
        depth = values * np.float32(1e-3) if encoding == "16UC1" else head["quant_a"] / (values - head["quant_b"])
    return np.where((raw > 0) & (depth > 0), depth, np.float32(np.nan)).astype(np.float32)


def _rvl(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    if len(data) < _SIZE.itemsize:
        raise InvalidImageError("compressed depth has no size: truncated")
    size = data[: _SIZE.itemsize].view(_SIZE)[0]
    width, height = int(size["width"]), int(size["height"])
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise InvalidImageError(f"compressed depth is {width} x {height} pixels: damaged")
    return decode_rvl(data[_SIZE.itemsize :], width * height).reshape(height, width)


def _decoded(data: Any, name: str, mode: str | None = None) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image.convert(mode) if mode else image
    # Damaged files end the decoders of PIL in many ways; SyntaxError is one of PNG's.
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidImageError(f"an image in the format {name!r} cannot be decoded: {error}") from error
