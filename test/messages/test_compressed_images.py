"""Compressed images and depth of image_transport, and RVL."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.compressed_images import (
    color_from_compressed_message,
    depth_from_compressed_message,
    is_compressed_depth,
)
from vmem_ros.messages.depth_compression import compressed_depth_to_message
from vmem_ros.messages.images import jpeg_to_message
from vmem_ros.messages.rvl import decode_rvl

RNG = np.random.default_rng(3)
COLOR = cv2.resize(RNG.integers(0, 256, (5, 7, 3), np.uint8), (84, 60), interpolation=cv2.INTER_CUBIC)
UNITS = RNG.integers(300, 9000, (60, 84)).astype(np.uint16)
UNITS[RNG.random(UNITS.shape) < 0.3] = 0
HEAD = np.array([0, 0, 0], "<i4").tobytes()


def message(types: Any, head: Any, form: str, data: bytes | NDArray) -> Any:
    data = np.frombuffer(bytes(data), np.uint8)
    return types.make("sensor_msgs/msg/CompressedImage", header=head, format=form, data=types.bytes_of(data))


def png(pixels: NDArray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def encoded_rvl(values: NDArray[np.uint16]) -> bytes:
    """Encode as the paper describes it, number by number."""
    numbers: list[int] = []
    flat, at, before = values.reshape(-1).astype(int).tolist(), 0, 0
    while at < len(flat):
        start = at
        while at < len(flat) and flat[at] == 0:
            at += 1
        numbers.append(at - start)
        start = at
        while at < len(flat) and flat[at] != 0:
            at += 1
        numbers.append(at - start)
        for value in flat[start:at]:
            step = value - before
            numbers.append(2 * step if step >= 0 else -2 * step - 1)
            before = value
    halves: list[int] = []
    for number in numbers:
        while True:
            number, three = number >> 3, number & 7
            halves.append(three | (8 if number else 0))
            if not number:
                break
    halves += [0] * (-len(halves) % 8)
    words = [int("".join(f"{half:x}" for half in halves[i : i + 8]), 16) for i in range(0, len(halves), 8)]
    return np.array(words, "<u4").tobytes()


def test_jpeg_of_our_own(types, head) -> None:
    found = color_from_compressed_message(jpeg_to_message(types, COLOR, head, quality=95))
    assert np.abs(found.astype(int) - COLOR).mean() < 4


@pytest.mark.parametrize(
    ("form", "pixels"),
    [
        ("png", COLOR[..., ::-1]),
        ("rgb8; png compressed bgr8", COLOR[..., ::-1]),
        # Its encoder took red for blue.
        ("rgb8; png compressed rgb8", COLOR),
    ],
)
def test_png_whatever_the_order_of_its_channels(types, head, form: str, pixels: NDArray) -> None:
    assert np.array_equal(color_from_compressed_message(message(types, head, form, png(pixels))), COLOR)


@pytest.mark.parametrize("form", ["16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1"])
def test_depth_in_millimetres(types, head, form: str) -> None:
    sent = message(types, head, form, HEAD + png(UNITS))
    assert is_compressed_depth(sent)
    found = depth_from_compressed_message(sent)
    assert np.array_equal(np.isnan(found), UNITS == 0)
    np.testing.assert_allclose(found[UNITS > 0], UNITS[UNITS > 0] * 1e-3, rtol=1e-6)


def test_depth_in_metres_is_quantised_in_inverse_depth(types, head) -> None:
    """The quantisation of image_transport: a = z0 (z0 + 1) and b = 1 - a / z_max."""
    depth, a = UNITS / 1000, 100.0 * 101.0
    b = 1 - a / 10.0
    with np.errstate(divide="ignore"):
        units = np.where(UNITS > 0, a / depth + b, 0).astype(np.uint16)
    head_bytes = np.array([0], "<i4").tobytes() + np.array([a, b], "<f4").tobytes()
    found = depth_from_compressed_message(message(types, head, "32FC1; compressedDepth png", head_bytes + png(units)))
    assert np.array_equal(np.isnan(found), UNITS == 0)
    np.testing.assert_allclose(found[UNITS > 0], depth[UNITS > 0], rtol=2e-3)


@pytest.mark.parametrize(
    ("near", "far", "a"),
    [(0.3, 9.0, 10100.0), (0.3, 200.0, 10100.0), (0.02, 30.0, 65534 / (1 / 0.02 - 1 / 30)), (2.0, 2.0, 10100.0)],
)
def test_depth_of_our_own(types, head, near: float, far: float, a: float) -> None:
    """Every known pixel comes back, within half a step of the quantisation."""
    depth = np.geomspace(near, far, 60 * 84).reshape(60, 84).astype(np.float32)
    depth[7, :5] = np.nan, np.inf, -np.inf, 0.0, -1.0
    sent = compressed_depth_to_message(types, torch.from_numpy(depth), head)
    assert (sent.format, sent.header) == ("32FC1; compressedDepth png", head)
    begins = np.frombuffer(sent.data, np.uint8)[:12]
    assert begins[:4].view("<i4")[0] == 0
    assert begins[4:].view("<f4").tolist() == pytest.approx([a, 1 - a / far], rel=1e-4)
    found = depth_from_compressed_message(sent)
    assert found.shape == depth.shape
    unknown = np.zeros(depth.shape, bool)
    unknown[7, :5] = True
    assert np.array_equal(np.isnan(found), unknown)
    error = np.abs(found - depth)[~unknown]
    assert (error <= depth[~unknown] ** 2 / a * 0.51 + 1e-4 * depth[~unknown]).all()


def test_depth_of_which_nothing_is_known(types, head) -> None:
    found = depth_from_compressed_message(compressed_depth_to_message(types, np.full((3, 4), np.nan, np.float32), head))
    assert found.shape == (3, 4)
    assert np.isnan(found).all()


def test_depth_in_rvl(types, head) -> None:
    size = np.array([84, 60], "<i4").tobytes()
    found = depth_from_compressed_message(
        message(types, head, "16UC1; compressedDepth rvl", HEAD + size + encoded_rvl(UNITS))
    )
    np.testing.assert_allclose(np.nan_to_num(found), UNITS * 1e-3, rtol=1e-6)


@pytest.mark.parametrize(
    "values",
    [np.zeros(35), np.full(9, 65535), np.array([0, 0, 7, 65535, 1, 0, 3]), RNG.integers(0, 65536, 1000), np.empty(0)],
)
def test_rvl_of_all_values(values: NDArray) -> None:
    values = values.astype(np.uint16)
    assert np.array_equal(decode_rvl(np.frombuffer(encoded_rvl(values), np.uint8), len(values)), values)


def test_rvl_by_hand() -> None:
    """Two zeros, then 5 and 3: runs of 2 and 2, steps +5 as 10 (two half bytes) and -2 as 3; words of eight."""
    word = np.array([0x22A13000], "<u4")
    assert decode_rvl(word.view(np.uint8), 4).tolist() == [0, 0, 5, 3]


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        ("16UC1; compressedDepth png", HEAD[:5], "compressed depth has 5 bytes: truncated"),
        ("16UC1; compressedDepth png", HEAD + png(UNITS)[:200], "cannot be decoded"),
        ("16UC1; compressedDepth png", HEAD + png(COLOR), r"compressed depth is uint8 \[60, 84, 3\]: one channel"),
        ("16UC1; compressedDepth rvl", HEAD + b"1234", "compressed depth has no size: truncated"),
        ("16UC1; compressedDepth rvl", HEAD + np.array([0, 5], "<i4").tobytes(), "0 x 5 pixels: damaged"),
        (
            "16UC1; compressedDepth rvl",
            HEAD + np.array([84, 60], "<i4").tobytes() + encoded_rvl(UNITS)[:400],
            "do not fit 5040 pixels: damaged or truncated|ends after .* of 5040 pixels: truncated",
        ),
        ("8UC1; compressedDepth png", HEAD + png(UNITS), "compressed depth must be '16UC1; compressedDepth png'"),
        ("bgr8; compressedDepth png", HEAD + png(UNITS), "compressed depth must be"),
        ("32FC1; png compressed", png(UNITS), "no parameters of its quantisation: use the compressedDepth transport"),
        ("16UC1; compressedDepth png", b"", "'16UC1; compressedDepth png' is empty"),
    ],
)
def test_depth_that_cannot_be_read_is_named(types, head, form: str, data: bytes, text: str) -> None:
    with pytest.raises(InvalidImageError, match=text):
        depth_from_compressed_message(message(types, head, form, data))


def test_colour_that_cannot_be_read_is_named(types, head) -> None:
    with pytest.raises(InvalidImageError, match="'jpeg' cannot be decoded"):
        color_from_compressed_message(message(types, head, "jpeg", b"nothing"))
    with pytest.raises(InvalidImageError, match="a colour image is wanted, and '16UC1; compressedDepth png' is depth"):
        color_from_compressed_message(message(types, head, "16UC1; compressedDepth png", HEAD + png(UNITS)))
