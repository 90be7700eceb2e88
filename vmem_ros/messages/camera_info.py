"""Intrinsics, in messages with pixel centres at integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera
from vmem_ros.messages.message_types import MessageTypes


def camera_to_message(types: MessageTypes, camera: Camera, head: Any) -> Any:
    """Return a ``sensor_msgs/msg/CameraInfo`` without distortion; ``P`` is filled because RViz reads it, not ``K``."""
    K = camera.K_opencv.numpy()
    P = np.zeros((3, 4))
    P[:, :3] = K
    whole = types.make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return types.make(
        "sensor_msgs/msg/CameraInfo",
        header=head,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=types.array(np.zeros(5)),
        k=K.reshape(9),
        r=np.eye(3).reshape(9),
        p=P.reshape(12),
        binning_x=0,
        binning_y=0,
        roi=whole,
    )


def camera_from_message(message: Any, *, rectified: bool = False, max_pixels: int | None = None) -> Camera:
    """Return the pinhole camera of a ``sensor_msgs/msg/CameraInfo``, bound to the size of its images.

    Where pixels were binned or a region was read, these are fewer than ``width`` x ``height``.

    :param rectified: the image it comes with is rectified, so distortion no longer matters.
    :param max_pixels: most pixels that an image may have; ``None``: no more than a camera's sides allow.
    :raises InvalidCameraError: not calibrated, distorted, rotated, absurd intrinsics, or too many pixels.
    """
    width, height = _image_size(message, max_pixels=max_pixels)
    if rectified:
        K = intrinsics_of_rectified(message)
    else:
        if any(message.d):
            raise InvalidCameraError(
                f"distortion {list(message.d)} ({message.distortion_model}) is not supported here: rectify the image"
            )
        R = np.asarray(message.r, np.float64)
        if R.any() and not np.allclose(R, np.eye(3).reshape(9)):
            raise InvalidCameraError(f"the rectification rotation must be the identity, got {R.tolist()}")
        K = intrinsics_of_lens(message)
    try:
        return Camera.from_opencv(K, width, height)
    except InvalidCameraError as error:
        raise InvalidCameraError(f"{error} (CameraInfo: k = {_listed(message.k)}, p = {_listed(message.p)})") from error


def _image_size(message: Any, *, max_pixels: int | None = None) -> tuple[int, int]:
    """Return width and height of the images of a ``sensor_msgs/msg/CameraInfo``: of the region read, after binning.

    :raises InvalidCameraError: no size, a region that is not within it, or more than ``max_pixels``.
    """
    (left, top, width, height), (step_x, step_y) = _region(message), _binning(message)
    if left + width > message.width or top + height > message.height:
        raise InvalidCameraError(
            f"the region of interest, {width} x {height} pixels from {left}, {top}, is not within the "
            f"{message.width} x {message.height} of the camera: correct roi in its CameraInfo, or leave it 0"
        )
    width, height = width // step_x, height // step_y
    if width < 1 or height < 1:
        raise InvalidCameraError(
            f"CameraInfo is for images of {width} x {height} pixels: the driver has not filled it in; calibrate the "
            "camera or correct its camera_info_url"
        )
    if max_pixels is not None and width * height > max_pixels:
        raise InvalidCameraError(
            f"CameraInfo is for images of {width} x {height} pixels, more than the {max_pixels:,} allowed: ask "
            "for or send smaller ones, or raise the limit (camera.max_pixels of the node)"
        )
    return width, height


def intrinsics_of_lens(message: Any) -> NDArray[np.float64]:
    """Return [3, 3] of the images as the lens made them, those of ``K`` after region and binning.

    As in the message, the centre of the first pixel has coordinates 0, 0.

    :raises InvalidCameraError: not calibrated.
    """
    K = np.asarray(message.k, np.float64).reshape(3, 3)
    if not K.any():
        raise InvalidCameraError(
            "K is all zeros: the camera is uncalibrated; run camera_calibration (ros2 run camera_calibration "
            "cameracalibrator) and give the driver the file that it writes (camera_info_url)"
        )
    return _of_read_pixels(K, message)


def intrinsics_of_rectified(message: Any) -> NDArray[np.float64]:
    """Return [3, 3] of the image after rectification: those of ``P``, or of ``K`` where nobody filled ``P``.

    As of :func:`intrinsics_of_lens`, with its errors.
    """
    P = np.asarray(message.p, np.float64).reshape(3, 4)
    return _of_read_pixels(P[:, :3], message) if P.any() else intrinsics_of_lens(message)


def _region(message: Any) -> tuple[int, int, int, int]:
    """Return left, top, width and height in unbinned pixels; all zero stands for the whole."""
    roi = message.roi
    if not (roi.width or roi.height):
        return 0, 0, message.width, message.height
    return roi.x_offset, roi.y_offset, roi.width, roi.height


def _binning(message: Any) -> tuple[int, int]:
    return max(message.binning_x, 1), max(message.binning_y, 1)


def _of_read_pixels(K: NDArray[np.float64], message: Any) -> NDArray[np.float64]:
    """Return intrinsics of the full sensor as those of the region read, with pixels joined by binning.

    The centre of a joined pixel lies between those of its parts.
    """
    (left, top, _, _), (step_x, step_y) = _region(message), _binning(message)
    out = K.copy()
    out[0, 2] -= left
    out[1, 2] -= top
    for row, step in ((0, step_x), (1, step_y)):
        out[row, 2] += (1 - step) / 2
        out[row] /= step
    return out


def _listed(values: Any) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"
