"""Encodings of colour that cameras send: what their bytes mean, by hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages import color_decoding
from vmem_ros.messages.camera_images import size_of
from vmem_ros.messages.encodings import COLOR_ENCODINGS
from vmem_ros.messages.images import image_from_message

RNG = np.random.default_rng(11)
HEIGHT, WIDTH = 16, 24
SMOOTH = cv2.resize(RNG.integers(40, 210, (3, 4, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
# Squares of 2 x 2 pixels differ in colour, and pixels in brightness alone.
SQUARES = RNG.integers(60, 190, (HEIGHT // 2, WIDTH // 2, 3)).repeat(2, 0).repeat(2, 1)
RGB = (SQUARES + RNG.integers(-20, 20, (HEIGHT, WIDTH, 1))).astype(np.uint8)
WIDE = RNG.integers(0, 65536, (HEIGHT, WIDTH, 4)).astype(np.uint16)
COLUMN, ROW = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))


def sent(types: Any, head: Any, encoding: str, rows: NDArray, *, big: bool = False, padding: int = 5) -> Any:
    """Return a message of rows of samples, each followed by bytes that mean nothing."""
    raw = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">" if big else "<"))).view(np.uint8)
    data = np.pad(raw.reshape(len(rows), -1), ((0, 0), (0, padding)), constant_values=171)
    size = {"height": HEIGHT, "width": WIDTH, "step": data.shape[1]}
    return types.make(
        "sensor_msgs/msg/Image",
        header=head,
        encoding=encoding,
        is_bigendian=int(big),
        data=types.bytes_of(data),
        **size,
    )


def yuv(rgb: NDArray) -> NDArray:
    """Return [H, W, 3] of ITU-R BT.601 in the range of video, 16 to 235 and 16 to 240."""
    r, g, b = (rgb[..., i] / 255 for i in range(3))
    y = 16 + 65.481 * r + 128.553 * g + 24.966 * b
    u = 128 - 37.797 * r - 74.203 * g + 112.0 * b
    v = 128 + 112.0 * r - 93.786 * g - 18.214 * b
    return np.round(np.stack([y, u, v], -1)).astype(np.uint8)


def mean_error(message: Any) -> float:
    found = image_from_message(message)
    assert (found.dtype, found.shape) == (np.uint8, RGB.shape)
    return float(np.abs(found.astype(int) - RGB).mean())


@pytest.fixture(autouse=True)
def _without_cv_bridge(monkeypatch) -> None:
    """It is compared with this in test_cv_bridge.py."""
    monkeypatch.setattr(color_decoding, "find_cv_bridge", lambda: None)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("rgb16", [0, 1, 2]),
        ("bgr16", [2, 1, 0]),
        ("rgba16", [0, 1, 2]),
        ("bgra16", [2, 1, 0]),
        ("16UC3", [2, 1, 0]),
        ("16UC4", [2, 1, 0]),
        ("mono16", [0, 0, 0]),
        ("16UC1", [0, 0, 0]),
    ],
)
def test_16_bits_are_scaled_to_8(types, head, encoding: str, order: list[int], big: bool) -> None:
    samples = WIDE[..., : COLOR_ENCODINGS[encoding].channels]
    found = image_from_message(sent(types, head, encoding, samples, big=big))
    np.testing.assert_array_equal(found, np.round(samples[..., order] / 257).astype(np.uint8))


@pytest.mark.parametrize(("encoding", "channels"), [("8UC1", [0, 0, 0]), ("8UC3", [2, 1, 0]), ("8UC4", [2, 1, 0])])
def test_generic_ones_hold_what_opencv_holds(types, head, encoding: str, channels: list[int]) -> None:
    samples = WIDE[..., : int(encoding[-1])].astype(np.uint8)
    np.testing.assert_array_equal(image_from_message(sent(types, head, encoding, samples)), samples[..., channels])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("big", [False, True])
def test_mosaics(types, head, pattern: str, bits: int, big: bool) -> None:
    """Each pixel has the one channel that the pattern names."""
    channel = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)[ROW % 2, COLUMN % 2]
    mosaic = SMOOTH[ROW, COLUMN, channel].astype(f"u{bits // 8}") * (257 if bits == 16 else 1)
    message = sent(types, head, f"bayer_{pattern}{bits}", mosaic, big=big)
    found = image_from_message(message)[1:-1, 1:-1].astype(int)
    at = ROW[1:-1, 1:-1] - 1, COLUMN[1:-1, 1:-1] - 1, channel[1:-1, 1:-1]
    # What was measured stays, but for rounding; the rest lies between the neighbours.
    assert np.abs(found[at] - mosaic[1:-1, 1:-1] // (257 if bits == 16 else 1)).max() <= 1
    assert np.abs(found - SMOOTH[1:-1, 1:-1]).mean() < 4


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")],
)
def test_two_pixels_share_their_colour(types, head, encoding: str, order: str) -> None:
    y, u, v = np.moveaxis(yuv(RGB), -1, 0)
    color = np.where(COLUMN % 2, v, u)
    pair = [color, y] if order == "uyvy" else [y, color]
    assert mean_error(sent(types, head, encoding, np.stack(pair, -1))) < 1.0


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24"])
def test_planes(types, head, encoding: str) -> None:
    y, u, v = np.moveaxis(yuv(RGB), -1, 0)
    pair = [v, u] if encoding == "nv21" else [u, v]
    if encoding == "nv24":
        color = np.stack(pair, -1).reshape(2 * HEIGHT, WIDTH)
    else:
        color = np.stack([c[::2, ::2] for c in pair], -1).reshape(HEIGHT // 2, WIDTH)
    message = sent(types, head, encoding, np.concatenate([y, color]), padding=0)
    assert size_of(message) == (WIDTH, HEIGHT)
    assert mean_error(message) < 1.0
    # Some drivers count the rows of colour, too.
    message.height += len(color)
    assert size_of(message) == (WIDTH, HEIGHT)
    assert mean_error(message) < 1.0


@pytest.mark.parametrize(
    ("encoding", "width", "height", "text"),
    [
        ("yuyv", 5, 4, "yuyv must have an even width, got 5 x 4"),
        ("nv12", 4, 5, "nv12 must have an even width and height, got 4 x 5"),
        ("bayer_rggb8", 8, 2, "bayer_rggb8 must be at least 3 x 3, got 8 x 2"),
        ("mono16", 0, 2, "the image is empty: 0 x 2"),
        ("rgb16", 8, 2, "step is 16 bytes, but 8 pixels of rgb16 need 48"),
        ("nv21", 8, 4, "data has 63 bytes, but 6 rows of 16 make 96: truncated"),
    ],
)
def test_sizes_that_an_encoding_cannot_have(types, head, encoding: str, width: int, height: int, text: str) -> None:
    message = sent(types, head, encoding, np.zeros((HEIGHT, WIDTH), np.uint8))
    message.width, message.height, message.step = width, height, 2 * width
    message.data = types.bytes_of(np.zeros(63, np.uint8))
    with pytest.raises(InvalidImageError, match=text):
        image_from_message(message)
