"""Images, intrinsics and depth of a real camera as one view: with a lens and without, in every encoding."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.messages import observed_view
from vmem_ros.messages.camera_info import camera_to_message
from vmem_ros.messages.images import image_to_message, map_to_message
from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.messages.observed_view import observed_view_from_messages
from vmem_ros.messages.rectification import rectifier_for

CAMERA = Camera.from_fov(96, 72, 70)
POSE = look_at((1.0, 2.0, 0.5), (4.0, 0.0, 1.0))
# The corners of the pinhole camera lie outside of this lens's image.
LENS = [0.3, 0.0, 0.0, 0.0, 0.0]
RNG = np.random.default_rng(5)
IMAGE = RNG.integers(0, 256, (72, 96, 3), dtype=np.uint8)
DEPTH = RNG.uniform(1.0, 5.0, (72, 96)).astype(np.float32)


def messages(types: MessageTypes, head: Any, *, lens: bool = False) -> tuple[Any, Any, Any]:
    """Return image, intrinsics and depth."""
    info = camera_to_message(types, CAMERA, head)
    if lens:
        info.d = types.array(np.array(LENS))
    return image_to_message(types, IMAGE, head), info, map_to_message(types, DEPTH, head)


def test_of_a_pinhole_camera_everything_stays(types, head) -> None:
    image, info, depth = messages(types, head)
    seen = observed_view_from_messages(image, info, POSE, depth=depth, stamp_ns=7)
    assert seen.mask is None
    assert np.array_equal(seen.view.image, IMAGE)
    assert np.array_equal(seen.view.depth, DEPTH)
    assert (seen.view.camera, seen.view.stamp_ns, seen.view.source) == (CAMERA, 7, "observed")
    assert torch.equal(seen.view.T_world_camera, POSE)


def test_depth_may_be_absent(types, head) -> None:
    image, info, _ = messages(types, head)
    assert observed_view_from_messages(image, info, POSE).view.depth is None


def test_of_a_lens_image_and_depth_are_rectified_and_the_corners_masked(types, head) -> None:
    image, info, depth = messages(types, head, lens=True)
    seen = observed_view_from_messages(image, info, POSE, depth=depth)
    rectifier = rectifier_for(info)
    assert seen.view.camera == CAMERA
    assert np.array_equal(seen.view.image, rectifier.image(IMAGE))
    assert np.array_equal(seen.view.depth, rectifier.depth(DEPTH), equal_nan=True)
    assert np.array_equal(seen.mask, rectifier.outside)
    assert bool(seen.mask[0, 0])
    assert not bool(seen.mask[36, 48])


def test_what_is_rectified_already_stays(types, head) -> None:
    image, info, depth = messages(types, head, lens=True)
    seen = observed_view_from_messages(image, info, POSE, depth=depth, rectified=True)
    assert seen.mask is None
    assert np.array_equal(seen.view.image, IMAGE)
    assert np.array_equal(seen.view.depth, DEPTH)
    assert seen.view.camera == CAMERA


def test_big_endian_millimetres(types, head) -> None:
    image, info, depth = messages(types, head)
    depth.encoding, depth.is_bigendian, depth.step = "16UC1", 1, 192
    depth.data = types.bytes_of((DEPTH * 1000).astype(">u2").view(np.uint8))
    seen = observed_view_from_messages(image, info, POSE, depth=depth)
    np.testing.assert_allclose(seen.view.depth, DEPTH, atol=1e-3)


def test_sizes_that_differ(types, head) -> None:
    image, info, _ = messages(types, head)
    small = map_to_message(types, DEPTH[::2, ::2], head)
    with pytest.raises(InvalidImageError, match=r"depth is 48 x 36 but the image is 96 x 72: register depth to colour"):
        observed_view_from_messages(image, info, POSE, depth=small)


def test_a_lens_that_is_not_known(types, head) -> None:
    image, info, _ = messages(types, head, lens=True)
    info.distortion_model = "kannala"
    with pytest.raises(InvalidCameraError, match="say so"):
        observed_view_from_messages(image, info, POSE)


def test_compressed_messages_make_the_same_view(types, head) -> None:
    _, info, _ = messages(types, head, lens=True)
    units = (DEPTH * 1000).astype(np.uint16)

    def compressed(form: str, data: bytes) -> Any:
        values = types.bytes_of(np.frombuffer(data, np.uint8))
        return types.make("sensor_msgs/msg/CompressedImage", header=head, format=form, data=values)

    image = compressed("rgb8; png compressed bgr8", bytes(cv2.imencode(".png", IMAGE[..., ::-1])[1]))
    depth = compressed("16UC1; compressedDepth png", bytes(12) + bytes(cv2.imencode(".png", units)[1]))
    seen = observed_view_from_messages(image, info, POSE, depth=depth)
    rectifier = rectifier_for(info)
    assert np.array_equal(seen.view.image, rectifier.image(IMAGE))
    np.testing.assert_allclose(seen.view.depth, rectifier.depth(DEPTH), atol=1.1e-3)


def test_absurd_depth_is_counted(types, head) -> None:
    image, info, _ = messages(types, head)
    depth = DEPTH.copy()
    depth[:24] = 1e20
    seen = observed_view_from_messages(image, info, POSE, depth=map_to_message(types, depth, head))
    assert seen.absurd_depth == 24 * 96
    assert torch.isnan(seen.view.depth[:24]).all()
    assert np.array_equal(seen.view.depth[24:], DEPTH[24:])


@pytest.mark.parametrize("lens", [False, True])
@pytest.mark.parametrize(
    ("size", "error", "text"),
    [
        ((0, 32), InvalidCameraError, "images of 0 x 32 pixels: the driver has not filled it in"),
        ((2**31, 32), InvalidCameraError, "more than the 1,000,000 allowed"),
        ((30000, 30000), InvalidCameraError, "30000 x 30000 pixels, more than the 1,000,000 allowed"),
        ((30000, 30), InvalidCameraError, "width must be 1 to 16384 pixels, got 30000"),
        ((192, 144), InvalidImageError, "image is 96 x 72 but its intrinsics are for 192 x 144: send the CameraInfo"),
        ((97, 72), InvalidImageError, "image is 96 x 72 but its intrinsics are for 97 x 72"),
    ],
)
def test_sizes_are_checked_before_any_work(
    types, head, monkeypatch, lens: bool, size: tuple[int, int], error: type[Exception], text: str
) -> None:
    """A camera_info beside an image that it does not belong to makes no maps, and nothing is decoded for it."""
    for name in ("color_of", "depth_of", "rectifier_for"):
        monkeypatch.setattr(observed_view, name, lambda *_, name=name: pytest.fail(f"{name} was called"))
    image, info, depth = messages(types, head, lens=lens)
    info.width, info.height = size
    with pytest.raises(error, match=text):
        observed_view_from_messages(image, info, POSE, depth=depth, max_pixels=1_000_000)


def test_data_that_is_not_there_is_noticed_before_maps_are_made(types, head, monkeypatch) -> None:
    monkeypatch.setattr(observed_view, "rectifier_for", lambda _: pytest.fail("maps were made"))
    image, info, _ = messages(types, head, lens=True)
    image.data = image.data[:-1]
    with pytest.raises(InvalidImageError, match="truncated"):
        observed_view_from_messages(image, info, POSE)
