"""Images of lenses become those of a pinhole camera; the formulas here are those of the camera models, by hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message, camera_to_message
from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.messages.rectification import rectifier_for
from vmem_ros.messages.stamps import header

TYPES = MessageTypes.of_rosbags(get_typestore(Stores.ROS2_JAZZY))
PINHOLE = Camera.from_fov(96, 72, 70)
LENSES = {
    "plumb_bob": [-0.25, 0.06, 0.002, -0.001, 0.01],
    "rational_polynomial": [-0.2, 0.05, 0.001, 0.002, 0.01, 0.03, -0.01, 0.002],
    "equidistant": [0.05, -0.02, 0.01, -0.004],
}


def info_of(model: str, *, with_p: bool = True) -> Any:
    message = camera_to_message(TYPES, PINHOLE, header(TYPES, "camera", 0))
    message.distortion_model, message.d = model, np.array(LENSES[model])
    if not with_p:
        message.p = np.zeros(12)
    return message


def lens_pixels(message: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row in the lens's image of every pixel of the pinhole camera."""
    K = np.asarray(message.k).reshape(3, 3)
    v, u = np.mgrid[0 : message.height, 0 : message.width].astype(float)
    x, y = (u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1]
    d, r2 = message.d, x * x + y * y
    if message.distortion_model == "equidistant":
        theta = np.arctan(np.sqrt(r2))
        bent = theta * (1 + d[0] * theta**2 + d[1] * theta**4 + d[2] * theta**6 + d[3] * theta**8)
        scale = np.where(r2 > 0, bent / np.sqrt(np.maximum(r2, 1e-18)), 1.0)
        x, y = x * scale, y * scale
    else:
        radial = 1 + d[0] * r2 + d[1] * r2**2 + d[4] * r2**3
        if len(d) == 8:
            radial /= 1 + d[5] * r2 + d[6] * r2**2 + d[7] * r2**3
        x, y = (
            x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x),
            y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y,
        )
    return x * K[0, 0] + K[0, 2], y * K[1, 1] + K[1, 2]


@pytest.mark.parametrize("model", sorted(LENSES))
@pytest.mark.parametrize("with_p", [True, False])
def test_every_pixel_comes_from_where_the_lens_put_it(model: str, with_p: bool) -> None:
    message = info_of(model, with_p=with_p)
    rectifier = rectifier_for(message)
    assert rectifier is not None
    u, v = lens_pixels(message)
    inside = (u > 1) & (u < message.width - 2) & (v > 1) & (v < message.height - 2)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(rectifier.x[inside], u[inside], atol=2e-3)
    rows, columns = np.mgrid[0 : message.height, 0 : message.width]
    ramp = np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)
    image = rectifier.image(ramp)
    # Interpolated to 1/32 of a pixel, and rounded.
    np.testing.assert_allclose(image[inside][:, 0], u[inside], atol=0.55)
    np.testing.assert_allclose(image[inside][:, 1], v[inside], atol=0.55)


def test_depth_is_moved_and_never_mixed_and_what_no_lens_saw_is_unknown() -> None:
    message = info_of("plumb_bob")
    message.d = [0.3, 0.0, 0.0, 0.0, 0.0]  # the corners of the pinhole camera lie outside of the lens's image
    rectifier = rectifier_for(message)
    assert rectifier is not None
    depth = np.where(np.arange(message.width) < 48, 1.0, 4.0)[None].repeat(message.height, 0).astype(np.float32)
    moved = rectifier.depth(depth)
    assert rectifier.outside[0, 0]
    assert not rectifier.outside[36, 48]
    assert np.isnan(moved[0, 0])
    assert set(np.unique(moved[~rectifier.outside])) == {1.0, 4.0}


def test_images_of_another_size_than_the_intrinsics_are_refused() -> None:
    rectifier = rectifier_for(info_of("plumb_bob"))
    assert rectifier is not None
    with pytest.raises(InvalidImageError, match="image is 192 x 144 but its intrinsics are for 96 x 72"):
        rectifier.image(np.zeros((144, 192, 3), np.uint8))
    with pytest.raises(InvalidImageError, match="depth is 48 x 72 but its intrinsics are for 96 x 72"):
        rectifier.depth(np.ones((72, 48), np.float32))


def test_the_camera_is_that_of_p_or_of_k() -> None:
    for with_p in (True, False):
        assert camera_from_message(info_of("plumb_bob", with_p=with_p), rectified=True) == PINHOLE


def test_a_pinhole_camera_needs_no_rectification() -> None:
    assert rectifier_for(camera_to_message(TYPES, PINHOLE, header(TYPES, "camera", 0))) is None


K1_TO_K6 = [*LENSES["rational_polynomial"]]
# Thin prism (s1 to s4) and tilted sensor.
PRISM, TILT = [0.01, -0.004, 0.006, 0.002], [0.02, -0.03]


@pytest.mark.parametrize(
    ("model", "d", "same_as"),
    [
        ("plumb_bob", K1_TO_K6, ("rational_polynomial", K1_TO_K6)),
        ("plumb_bob", [*LENSES["plumb_bob"], 0, 0, 0], ("plumb_bob", LENSES["plumb_bob"])),
        ("plumb_bob", [*LENSES["plumb_bob"], 0], ("plumb_bob", LENSES["plumb_bob"])),
        ("plumb_bob", [*LENSES["plumb_bob"], *[0] * 12], ("plumb_bob", LENSES["plumb_bob"])),
        ("rational_polynomial", LENSES["plumb_bob"], ("plumb_bob", LENSES["plumb_bob"])),
        ("rational_polynomial", [*K1_TO_K6, *[0] * 4], ("rational_polynomial", K1_TO_K6)),
        ("rational_polynomial", [*K1_TO_K6, *PRISM, 0, 0], ("rational_polynomial", [*K1_TO_K6, *PRISM])),
        ("equidistant", [*LENSES["equidistant"], 0], ("equidistant", LENSES["equidistant"])),
        ("fisheye", [*LENSES["equidistant"], 0, 0, 0, 0], ("equidistant", LENSES["equidistant"])),
        ("", LENSES["plumb_bob"], ("plumb_bob", LENSES["plumb_bob"])),
        ("", K1_TO_K6, ("rational_polynomial", K1_TO_K6)),
    ],
)
def test_one_lens_written_in_several_ways(model: str, d: list[float], same_as: tuple[str, list[float]]) -> None:
    message, other = info_of("plumb_bob"), info_of("plumb_bob")
    message.distortion_model, message.d = model, d
    other.distortion_model, other.d = same_as
    found, expected = rectifier_for(message), rectifier_for(other)
    np.testing.assert_allclose(found.x, expected.x, atol=1e-4)
    np.testing.assert_allclose(found.y, expected.y, atol=1e-4)


@pytest.mark.parametrize("d", [[*K1_TO_K6, *PRISM], [*K1_TO_K6, *PRISM, *TILT]])
@pytest.mark.parametrize("model", ["plumb_bob", "rational_polynomial"])
def test_thin_prisms_and_tilted_sensors(model: str, d: list[float]) -> None:
    message = info_of("plumb_bob")
    message.distortion_model, message.d = model, d
    K = np.asarray(message.k).reshape(3, 3)
    v, u = np.mgrid[0 : message.height, 0 : message.width].astype(float)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1).reshape(-1, 3)
    pixels, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, np.array(d))
    rectifier = rectifier_for(message)
    np.testing.assert_allclose(rectifier.x.reshape(-1), pixels[:, 0, 0], atol=2e-3)
    np.testing.assert_allclose(rectifier.y.reshape(-1), pixels[:, 0, 1], atol=2e-3)


@pytest.mark.parametrize("model", ["", "none", "plumb_bob", "equidistant", "kannala"])
@pytest.mark.parametrize("d", [[], [0.0] * 5, [0.0] * 4])
def test_without_distortion_the_name_does_not_matter(model: str, d: list[float]) -> None:
    message = info_of("plumb_bob")
    message.distortion_model, message.d = model, d
    assert rectifier_for(message) is None
    assert camera_from_message(message) == PINHOLE


def test_a_lens_of_which_a_region_was_read_with_pixels_joined() -> None:
    """Its rectified picture is the same part of the rectified picture of the whole."""
    message = info_of("plumb_bob")
    message.k = np.array([60.0, 0, 47.5, 0, 60.0, 35.5, 0, 0, 1])
    whole = rectifier_for(message)
    message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height = 8, 6, 80, 60
    message.binning_x = message.binning_y = 2
    part = rectifier_for(message)
    assert part.x.shape == (30, 40)
    # The centre of a joined pixel lies in the middle of four.
    middle = whole.x[6:66, 8:88].reshape(30, 2, 40, 2).mean((1, 3))
    np.testing.assert_allclose((part.x + 0.5) * 2 - 0.5 + 8, middle, atol=0.02)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_a_lens_that_saw_nothing_of_the_picture_is_refused(model: str) -> None:
    message = info_of(model)
    message.d = np.array([1e12, -1e13, 0.0, 0.0])
    with pytest.raises(InvalidCameraError, match="K, d and P of CameraInfo do not fit each other"):
        rectifier_for(message)


def test_the_camera_is_checked_before_anything_is_made() -> None:
    message = info_of("plumb_bob")
    message.width = message.height = 30000
    with pytest.raises(InvalidCameraError, match="width must be 1 to 16384 pixels, got 30000"):
        rectifier_for(message)
    message = info_of("plumb_bob")
    message.k = np.array([0.0, 0, 47.5, 0, 60.0, 35.5, 0, 0, 1])
    with pytest.raises(InvalidCameraError, match="uncalibrated"):
        rectifier_for(message)
    message.k, message.p = np.zeros(9), np.zeros(12)
    with pytest.raises(InvalidCameraError, match="K is all zeros"):
        rectifier_for(message)


@pytest.mark.parametrize(
    ("model", "d", "text"),
    [
        ("kannala", [0.1], "'kannala' is not supported: use plumb_bob, rational_polynomial, equidistant"),
        ("plumb_bob", [0.1, 0.2], "4 or 5 or 8 or 12 or 14 finite coefficients, got .*: calibrate the camera again"),
        ("plumb_bob", [0.1, 0, 0, 0, 0, 0.1], "4 or 5 or 8 or 12 or 14 finite coefficients"),
        ("plumb_bob", [0.1] * 15, "4 or 5 or 8 or 12 or 14 finite coefficients"),
        ("equidistant", [0.1] * 5, "equidistant has 4 finite coefficients"),
        # Four without a name are either's.
        ("", [0.1] * 4, "distortion_model '': use plumb_bob, .*, or empty d if the image has none"),
        ("none", [0.1] * 5, "distortion_model 'none': use plumb_bob"),
        ("equidistant", [float("nan")] * 4, "4 finite coefficients"),
    ],
)
def test_other_lenses_are_named(model: str, d: list[float], text: str) -> None:
    message = info_of("plumb_bob")
    message.distortion_model, message.d = model, d
    with pytest.raises(InvalidCameraError, match=text):
        rectifier_for(message)
