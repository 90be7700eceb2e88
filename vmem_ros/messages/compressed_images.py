"""``sensor_msgs/msg/CompressedImage``: colour as JPEG or PNG, and depth as image_transport's compressedDepth."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.images import DEPTH_ENCODINGS
from vmem_ros.messages.rvl import decode_rvl

_COMPRESSED_DEPTH = "compressedDepth"
# What image_transport writes, and other libraries beside it. PIL knows more: some of its readers start programs.
_COLOR_FORMATS, _DEPTH_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP"), ("PNG",)
_PNG_BEGINS = b"\x89PNG"
#: What compressed depth begins with: an enumeration, and the two parameters of the quantisation of 32FC1.
COMPRESSED_DEPTH_HEAD = np.dtype([("kind", "<i4"), ("quant_a", "<f4"), ("quant_b", "<f4")])
_SIZE = np.dtype([("width", "<i4"), ("height", "<i4")])


def is_compressed_depth(message: Any) -> bool:
    """Return whether the format of a message is one of depth; old ones name the encoding alone."""
    return message.format.partition(";")[0].strip() in DEPTH_ENCODINGS or _COMPRESSED_DEPTH in message.format


def compressed_size(message: Any) -> tuple[int, int]:
    """Return width and height of an image of colour or depth, from its head: nothing is decoded.

    :raises InvalidImageError: no JPEG or PNG, or damaged.
    """
    if not is_compressed_depth(message):
        return _opened(_bytes_of(message), message.format, _COLOR_FORMATS).size
    _, rest = _depth_parts(message)
    return _rvl_size(rest) if _is_rvl(message) else _opened(rest, message.format, _DEPTH_FORMATS).size


def color_from_compressed_message(message: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB.

    :raises InvalidImageError: no JPEG or PNG, damaged, or depth.
    """
    if is_compressed_depth(message):
        raise InvalidImageError(f"a colour image is wanted, and {message.format!r} is depth")
    pixels = _rgb(_decoded(_bytes_of(message), message.format, _COLOR_FORMATS))
    # image_transport notes the order of the channels that its encoder took for blue, green, red.
    return np.ascontiguousarray(pixels[..., ::-1]) if "compressed rgb" in message.format else pixels


def depth_from_compressed_message(message: Any) -> NDArray[np.float32]:
    """Return [H, W] metres, NaN unknown.

    16UC1 holds millimetres. 32FC1 is quantised in inverse depth: ``a / (value - b)`` with a and b from the head.

    :raises InvalidImageError: another format, or damaged.
    """
    encoding = message.format.partition(";")[0].strip()
    if not is_compressed_depth(message) or encoding not in DEPTH_ENCODINGS:
        raise InvalidImageError(
            f"compressed depth must be '16UC1; compressedDepth png' or rvl, or 32FC1, got {message.format!r}: use the "
            "compressedDepth transport"
        )
    head, rest = _depth_parts(message)
    if head is None and encoding != "16UC1":
        raise InvalidImageError(
            f"{message.format!r} has no parameters of its quantisation: use the compressedDepth transport"
        )
    raw = _rvl(rest) if _is_rvl(message) else np.array(_decoded(rest, message.format, _DEPTH_FORMATS))
    if raw.ndim != 2 or not np.issubdtype(raw.dtype, np.integer):
        raise InvalidImageError(f"compressed depth is {raw.dtype} {list(raw.shape)}: one channel of 16 bits is read")
    values = raw.astype(np.float32)
    if encoding == "16UC1":
        depth = values * np.float32(1e-3)
    else:
        with np.errstate(all="ignore"):
            depth = head["quant_a"] / (values - head["quant_b"])
    return np.where((raw > 0) & (depth > 0), depth, np.float32(np.nan)).astype(np.float32)


def _bytes_of(message: Any) -> NDArray[np.uint8]:
    if not len(message.data):
        raise InvalidImageError(f"an image in the format {message.format!r} is empty")
    return np.frombuffer(message.data, np.uint8)


def _is_rvl(message: Any) -> bool:
    return "rvl" in message.format.partition(";")[2].split()


def _depth_parts(message: Any) -> tuple[Any, NDArray[np.uint8]]:
    """Return the head of compressed depth and what follows; no head where it is a PNG from the first byte on."""
    data = _bytes_of(message)
    if data[: len(_PNG_BEGINS)].tobytes() == _PNG_BEGINS:
        return None, data
    if len(data) < COMPRESSED_DEPTH_HEAD.itemsize:
        raise InvalidImageError(f"compressed depth has {len(data)} bytes: truncated")
    return data[: COMPRESSED_DEPTH_HEAD.itemsize].view(COMPRESSED_DEPTH_HEAD)[0], data[COMPRESSED_DEPTH_HEAD.itemsize :]


def _rvl_size(data: NDArray[np.uint8]) -> tuple[int, int]:
    if len(data) < _SIZE.itemsize:
        raise InvalidImageError("compressed depth has no size: truncated")
    size = data[: _SIZE.itemsize].view(_SIZE)[0]
    width, height = int(size["width"]), int(size["height"])
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise InvalidImageError(f"compressed depth is {width} x {height} pixels: damaged")
    return width, height


def _rvl(data: NDArray[np.uint8]) -> NDArray[np.uint16]:
    width, height = _rvl_size(data)
    return decode_rvl(data[_SIZE.itemsize :], width * height).reshape(height, width)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return [H, W, 3]; grey of 16 bits, which PIL would cut off at 255, is scaled."""
    if image.mode.startswith("I"):
        grey = np.asarray(cv2.convertScaleAbs(np.array(image, np.uint16), alpha=255 / 65535), np.uint8)
        return grey[..., None].repeat(3, -1)
    return np.array(image.convert("RGB"))


def _opened(data: NDArray[np.uint8], name: str, formats: tuple[str, ...]) -> Image.Image:
    """Return an image of which only the head is read."""
    with _damage_named(name, formats):
        return Image.open(io.BytesIO(data.data), formats=formats)


def _decoded(data: NDArray[np.uint8], name: str, formats: tuple[str, ...]) -> Image.Image:
    image = _opened(data, name, formats)
    with _damage_named(name, formats):
        image.load()
        return image


@contextmanager
def _damage_named(name: str, formats: tuple[str, ...]) -> Iterator[None]:
    try:
        yield
    # Damaged files end the decoders of PIL in many ways; SyntaxError is one of PNG's.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidImageError(
            f"an image in the format {name!r} cannot be decoded as {' or '.join(formats)}: {error}"
        ) from error
