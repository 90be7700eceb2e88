"""Camera messages of either type: sizes from heads alone, colour, depth without what cannot be."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.camera_images import color_of, depth_of, size_of
from vmem_ros.messages.images import image_to_message, jpeg_to_message, map_to_message
from vmem_ros.types import MAX_DEPTH_M

RNG = np.random.default_rng(7)
COLOR = cv2.resize(RNG.integers(0, 256, (5, 7, 3), np.uint8), (84, 60), interpolation=cv2.INTER_CUBIC)
DEPTH = RNG.uniform(0.5, 8.0, (60, 84)).astype(np.float32)
HEAD = bytes(12)


def compressed(types: Any, head: Any, form: str, data: bytes) -> Any:
    values = types.bytes_of(np.frombuffer(data, np.uint8))
    return types.make("sensor_msgs/msg/CompressedImage", header=head, format=form, data=values)


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def test_colour_of_either_type(types, head) -> None:
    raw, jpeg = image_to_message(types, COLOR, head), jpeg_to_message(types, COLOR, head, quality=95)
    assert np.array_equal(color_of(raw), COLOR)
    assert np.abs(color_of(jpeg).astype(int) - COLOR).mean() < 4
    assert size_of(raw) == size_of(jpeg) == (84, 60)


def test_depth_of_every_type(types, head) -> None:
    units = np.round(DEPTH * 1000).astype(np.uint16)
    for message in (
        map_to_message(types, DEPTH, head),
        compressed(types, head, "16UC1; compressedDepth png", HEAD + png(units)),
        # What the plain compressed transport makes of depth.
        compressed(types, head, "16UC1; png compressed ", png(units)),
    ):
        found = depth_of(message)
        np.testing.assert_allclose(found.depth, DEPTH, atol=6e-4)
        assert found.absurd == 0
        assert size_of(message) == (84, 60)


def test_a_size_is_known_before_anything_is_decoded(types, head) -> None:
    """Nothing but the head of a file of 16000 x 16000 pixels is there."""
    out = io.BytesIO()
    Image.new("L", (16, 16)).save(out, "png")
    head_of_png = bytearray(out.getvalue()[:33])
    head_of_png[16:24] = (16000).to_bytes(4, "big") * 2
    head_of_png[29:33] = _crc(bytes(head_of_png[12:29]))
    bomb = bytes(head_of_png) + b"\0\0\0\0IDAT"
    for form, data in (("png", bomb), ("16UC1; compressedDepth png", HEAD + bomb)):
        message = compressed(types, head, form, data)
        # PIL itself refuses pictures as large as this.
        with pytest.raises(InvalidImageError, match=r"cannot be decoded as .*bomb"):
            size_of(message)
    rvl = np.array([1 << 20, 3], "<i4").tobytes()
    with pytest.raises(InvalidImageError, match="1048576 x 3 pixels: damaged"):
        size_of(compressed(types, head, "16UC1; compressedDepth rvl", HEAD + rvl))


def _crc(data: bytes) -> bytes:
    import zlib

    return zlib.crc32(data).to_bytes(4, "big")


def test_other_kinds_of_files_are_not_opened(types, head) -> None:
    """PIL reads PostScript by running another program."""
    with pytest.raises(InvalidImageError, match="cannot be decoded as JPEG or PNG or TIFF or WEBP"):
        color_of(compressed(types, head, "jpeg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))


def test_grey_of_16_bits_is_scaled(types, head) -> None:
    wide = RNG.integers(0, 65536, (60, 84)).astype(np.uint16)
    found = color_of(compressed(types, head, "mono16; png compressed mono16", png(wide)))
    np.testing.assert_array_equal(found, np.round(wide / 257).astype(np.uint8)[..., None].repeat(3, -1))


@pytest.mark.parametrize("value", [1e20, 3.4e38, MAX_DEPTH_M * 1.01])
def test_absurd_depth_is_unknown_and_counted(types, head, value: float) -> None:
    depth = DEPTH.copy()
    depth[:20] = value
    depth[20, 0] = np.inf
    found = depth_of(map_to_message(types, depth, head))
    assert found.absurd == 20 * 84
    assert np.isnan(found.depth[:20]).all()
    assert np.isinf(found.depth[20, 0])
    np.testing.assert_array_equal(found.depth[21:], DEPTH[21:])


@pytest.mark.parametrize("share", [0.6, 1.0])
def test_a_unit_is_told_from_what_is_known(types, head, share: float) -> None:
    """Marks for the unknown do not count, unless nothing else is there: then they are depths in another unit."""
    depth = np.where(np.arange(60)[:, None] < 60 * share, np.float32(1e6), DEPTH)
    if share == 1:
        with pytest.raises(InvalidImageError, match=r"median depth is 1e\+06 m"):
            depth_of(map_to_message(types, depth, head))
    else:
        assert depth_of(map_to_message(types, depth, head)).absurd == 36 * 84


@pytest.mark.parametrize(("encoding", "value"), [("32FC1", 1800.0), ("16UC1", 3)])
def test_a_wrong_unit_is_noticed(types, head, encoding: str, value: float) -> None:
    message = map_to_message(types, np.full((3, 3), value, np.float32), head)
    if encoding == "16UC1":
        message.encoding, message.step = encoding, 6
        message.data = types.bytes_of(np.full((3, 3), value, np.uint16))
    with pytest.raises(InvalidImageError, match="unit is probably wrong"):
        depth_of(message)


def test_a_wrong_unit_is_noticed_in_compressed_depth(types, head) -> None:
    units = np.full((3, 3), 3, np.uint16)
    with pytest.raises(InvalidImageError, match="holds millimetres"):
        depth_of(compressed(types, head, "16UC1; compressedDepth png", HEAD + png(units)))
