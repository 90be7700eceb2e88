"""Intrinsics: the half pixel both ways, and what no pinhole camera is told."""

from dataclasses import is_dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera, project
from vmem_ros.messages.camera_info import camera_from_message, camera_to_message

CAMERA = Camera(torch.tensor([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]), 640, 480)


def test_half_pixel_both_ways(types, head) -> None:
    info = camera_to_message(types, CAMERA, head)
    assert (info.k[2], info.k[5]) == (319.5, 239.5)
    assert camera_from_message(info) == CAMERA


def test_projection_agrees_with_opencv(types, head) -> None:
    """OpenCV, like every ROS tool, puts pixel centres at integers: its pixels are ours minus one half."""
    camera = Camera(torch.tensor([[500.0, 0, 321], [0, 510, 237], [0, 0, 1]]), 640, 480)
    points = torch.tensor([[0.3, -0.2, 2.0], [-1.0, 0.4, 5.0]], dtype=torch.float64)
    K = np.array(camera_to_message(types, camera, head).k).reshape(3, 3)
    pixels, _ = cv2.projectPoints(points.numpy(), np.zeros(3), np.zeros(3), K, np.zeros(5))
    np.testing.assert_allclose(pixels[:, 0], project(points, camera)[0] - 0.5, atol=1e-9)


def test_rviz_finds_a_projection_matrix(types, head) -> None:
    info = camera_to_message(types, Camera.from_fov(64, 48, 90), head)
    P = np.array(info.p).reshape(3, 4)
    np.testing.assert_array_equal(P[:, :3].reshape(9), info.k)
    np.testing.assert_array_equal(P[:, 3], 0)
    np.testing.assert_array_equal(info.r, np.eye(3).reshape(9))
    assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)
    assert info.header == head


@pytest.mark.parametrize("fov_deg", [20, 77.3, 140])
@pytest.mark.parametrize(("width", "height"), [(16, 16), (640, 480), (1919, 1081)])
def test_round_trip(types, head, fov_deg: float, width: int, height: int) -> None:
    camera = Camera.from_fov(width, height, fov_deg)
    back = camera_from_message(camera_to_message(types, camera, head))
    torch.testing.assert_close(back.K, camera.K, rtol=0, atol=1e-9)
    assert back.size == camera.size


def test_rectified_images_are_described_by_p(types, head) -> None:
    camera = Camera.from_fov(64, 48, 90)
    info = changed(camera_to_message(types, camera, head), d=types.array(np.array([0.1, 0.0, 0.0, 0.0, 0.0])))
    info.k[0] = 99.0
    with pytest.raises(InvalidCameraError, match="rectify the image"):
        camera_from_message(info)
    assert camera_from_message(info, rectified=True) == camera


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k": np.zeros(9)}, "K is all zeros: the camera is uncalibrated; run camera_calibration"),
        (
            {"k": np.diag([40.0, 40.0, 0.0]).reshape(9)},
            r"got \[\[40.0, 0.0, 0.0\], \[0.0, 40.0, 0.0\], \[0.0, 0.0, 0.0\]\]",
        ),
        ({"k": np.array([40.0, 0, 900, 0, 40, 24, 0, 0, 1])}, r"far outside .*k = \[40, 0, 900, 0, 40, 24, 0, 0, 1\]"),
        ({"k": np.array([0.0, 0, 3, 0, 0, 3, 0, 0, 1])}, "uncalibrated"),
        ({"k": np.full(9, np.nan)}, "finite"),
        ({"width": 0}, "images of 0 x 48 pixels: the driver has not filled it in"),
        ({"width": 2**31, "height": 32}, "width must be 1 to"),
        ({"binning_x": 100}, "images of 0 x 48 pixels"),
        ({"r": np.diag([1.0, -1.0, -1.0]).reshape(9)}, "rotation must be the identity"),
    ],
)
def test_refused(types, head, change: dict, text: str) -> None:
    info = camera_to_message(types, Camera.from_fov(64, 48, 90), head)
    with pytest.raises(InvalidCameraError, match=text):
        camera_from_message(changed(info, **change))


@pytest.mark.parametrize("rectified", [False, True])
def test_a_region_read_with_pixels_joined_is_a_camera_of_its_own(types, head, rectified: bool) -> None:
    """A point falls on the pixel of the small image that has joined the pixels of the whole one where it fell."""
    info = camera_to_message(types, CAMERA, head)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 40, 60, 400, 300
    info.binning_x, info.binning_y = 2, 3
    camera = camera_from_message(info, rectified=rectified)
    assert camera.size == (100, 200)
    points = torch.tensor([[0.3, -0.2, 2.0], [-1.0, 0.4, 5.0]], dtype=torch.float64)
    whole, small = project(points, CAMERA)[0], project(points, camera)[0]
    # Edges lie at integers here: those of the joined pixels are those of their parts.
    torch.testing.assert_close(small, (whole - torch.tensor([40.0, 60.0])) / torch.tensor([2.0, 3.0]))


def test_a_region_is_within_the_image(types, head) -> None:
    info = camera_to_message(types, Camera.from_fov(64, 48, 90), head)
    info.roi.width, info.roi.height = 64, 48
    assert camera_from_message(info) == Camera.from_fov(64, 48, 90)
    info.roi.x_offset = 1
    with pytest.raises(InvalidCameraError, match="64 x 48 pixels from 1, 0, is not within the 64 x 48 of the camera"):
        camera_from_message(info)


def test_a_bound_on_pixels(types, head) -> None:
    info = camera_to_message(types, CAMERA, head)
    assert camera_from_message(info, max_pixels=640 * 480) == CAMERA
    with pytest.raises(InvalidCameraError, match="640 x 480 pixels, more than the 307,199 allowed"):
        camera_from_message(info, max_pixels=640 * 480 - 1)


def test_what_no_driver_has_filled_is_refused(types, head) -> None:
    info = camera_to_message(types, CAMERA, head)
    empty = changed(info, width=0, height=0, k=np.zeros(9), p=np.zeros(12), r=np.zeros(9))
    with pytest.raises(InvalidCameraError):
        camera_from_message(empty)


def changed(message: Any, **fields: Any) -> Any:
    """Return a message with other fields; messages of rclpy are changed in place."""
    if is_dataclass(message):
        return replace(message, **fields)
    for name, value in fields.items():
        setattr(message, name, value)
    return message
