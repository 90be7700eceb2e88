"""Images of lenses become those of a pinhole camera; the formulas here are those of the camera models, by hand."""

from __future__ import annotations

from typing import Any

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


@pytest.mark.parametrize(
    ("model", "d", "text"),
    [
        ("kannala", [0.1], "'kannala' is not supported: use plumb_bob, rational_polynomial, equidistant"),
        ("plumb_bob", [0.1, 0.2], "4 or 5 finite coefficients"),
        ("equidistant", [float("nan")] * 4, "4 finite coefficients"),
    ],
)
def test_other_lenses_are_named(model: str, d: list[float], text: str) -> None:
    message = info_of("plumb_bob")
    message.distortion_model, message.d = model, d
    with pytest.raises(InvalidCameraError, match=text):
        rectifier_for(message)
