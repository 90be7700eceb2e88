"""Images and maps: encodings, steps, byte orders, units, and what malformed messages are told."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.images import (
    depth_from_message,
    image_from_message,
    image_to_message,
    jpeg_to_message,
    map_from_message,
    map_to_message,
)
from vmem_ros.messages.message_types import MessageTypes

RNG = np.random.default_rng(3)


def image_message(types: MessageTypes, head: Any, encoding: str, rows: np.ndarray, width: int, **fields: Any) -> Any:
    """Return a message of rows of bytes."""
    known = {"height": len(rows), "width": width, "encoding": encoding, "step": rows.shape[1], "is_bigendian": 0}
    return types.make("sensor_msgs/msg/Image", header=head, data=types.bytes_of(rows), **known | fields)


def color_message(types: MessageTypes, head: Any, encoding: str, pixels: np.ndarray, *, padding: int = 0) -> Any:
    rows = np.pad(pixels.reshape(len(pixels), -1), ((0, 0), (0, padding)), constant_values=255).astype(np.uint8)
    return image_message(types, head, encoding, rows, pixels.shape[1])


def depth_message(types: MessageTypes, head: Any, encoding: str, depth: np.ndarray, *, big: bool = False) -> Any:
    raw = depth.astype((">" if big else "<") + {"32FC1": "f4", "16UC1": "u2"}[encoding])
    return image_message(types, head, encoding, raw.view(np.uint8), depth.shape[1], is_bigendian=int(big))


class TestColor:
    @pytest.mark.parametrize("padding", [0, 7])
    @pytest.mark.parametrize(
        ("encoding", "channels"), [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0])]
    )
    def test_channel_order_and_step(self, types, head, encoding: str, channels: list[int], padding: int) -> None:
        pixels = RNG.integers(0, 256, (5, 6, 4 if "a" in encoding else 3))
        message = color_message(types, head, encoding, pixels, padding=padding)
        np.testing.assert_array_equal(image_from_message(message), pixels[..., channels])

    def test_mono_becomes_grey(self, types, head) -> None:
        pixels = RNG.integers(0, 256, (5, 6, 1))
        message = color_message(types, head, "mono8", pixels)
        np.testing.assert_array_equal(image_from_message(message), np.repeat(pixels, 3, 2))

    def test_round_trip_does_not_alias_the_message(self, types, head) -> None:
        image = torch.from_numpy(RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8))
        message = image_to_message(types, image, head)
        read = image_from_message(message)
        np.testing.assert_array_equal(read, image)
        read[:] = 0
        np.testing.assert_array_equal(image_from_message(message), image)
        assert (message.encoding, message.step, message.is_bigendian) == ("rgb8", 18, 0)
        assert message.header == head

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"encoding": "yuv420p"}, "colour images must be rgb8, .*, nv24, got 'yuv420p': set another pixel format"),
            ({"encoding": "32FC1"}, "got '32FC1'"),
            ({"step": 17}, "step is 17 bytes, but 6 pixels of rgb8 need 18"),
            ({"height": 4}, "data has 90 bytes, but 4 rows of 18 make 72"),
            ({"height": 0}, "empty"),
            ({"width": 0}, "empty"),
        ],
    )
    def test_malformed(self, types, head, change: dict, text: str) -> None:
        message = image_message(types, head, **{"encoding": "rgb8", "width": 6} | change, rows=np.zeros((5, 18), "u1"))
        with pytest.raises(InvalidImageError, match=text):
            image_from_message(message)

    def test_jpeg_decodes_to_the_same_colors(self, types, head) -> None:
        image = np.zeros((32, 32, 3), np.uint8)
        image[..., 0] = 200
        message = jpeg_to_message(types, image, head, quality=95)
        decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(decoded.astype(int) - image).max() <= 3
        assert message.format == "rgb8; jpeg compressed bgr8"


class TestDepth:
    @pytest.mark.parametrize("big", [False, True])
    def test_millimetres(self, types, head, big: bool) -> None:
        message = depth_message(types, head, "16UC1", np.array([[0, 1500], [2000, 65535]]), big=big)
        np.testing.assert_allclose(depth_from_message(message), [[np.nan, 1.5], [2.0, 65.535]], rtol=1e-6)

    @pytest.mark.parametrize("big", [False, True])
    def test_metres_keep_unknown_and_out_of_range(self, types, head, big: bool) -> None:
        depth = np.array([[np.nan, 1.5, np.inf], [0.0, -np.inf, 2.5]])
        message = depth_message(types, head, "32FC1", depth, big=big)
        np.testing.assert_array_equal(depth_from_message(message), [[np.nan, 1.5, np.inf], [np.nan, np.nan, 2.5]])

    def test_written_maps_read_back(self, types, head) -> None:
        depth = torch.tensor([[1.0, torch.nan], [torch.inf, 0.25]])
        message = map_to_message(types, depth, head)
        np.testing.assert_array_equal(depth_from_message(message), depth)
        np.testing.assert_array_equal(map_from_message(message), depth)
        assert (message.encoding, message.step) == ("32FC1", 8)

    def test_maps_are_read_in_either_byte_order(self, types, head) -> None:
        values = np.array([[0.0, 0.5], [1.0, -2.0]])
        message = depth_message(types, head, "32FC1", values, big=True)
        np.testing.assert_array_equal(map_from_message(message), values)

    def test_nothing_valid_is_no_error(self, types, head) -> None:
        assert np.isnan(depth_from_message(depth_message(types, head, "16UC1", np.zeros((2, 2))))).all()

    def test_other_encodings(self, types, head) -> None:
        message = image_message(types, head, "64FC1", np.zeros((1, 8), np.uint8), 1)
        with pytest.raises(InvalidImageError, match=r"32FC1 \(metres\) or 16UC1 \(millimetres\), got '64FC1'"):
            depth_from_message(message)
        with pytest.raises(InvalidImageError, match="maps must be 32FC1, got '64FC1'"):
            map_from_message(message)

    def test_truncated(self, types, head) -> None:
        message = depth_message(types, head, "32FC1", np.ones((3, 3)))
        message.data = message.data[:-1]
        with pytest.raises(InvalidImageError, match="truncated"):
            depth_from_message(message)
