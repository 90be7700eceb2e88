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


def camera_from_message(message: Any, *, rectified: bool = False) -> Camera:
    """Return the pinhole camera of a ``sensor_msgs/msg/CameraInfo``.

    :param rectified: the image it comes with is rectified, so distortion no longer matters.
    :raises InvalidCameraError: not calibrated, distorted, rotated, binned, cropped, or absurd intrinsics.
    """
    if message.binning_x > 1 or message.binning_y > 1:
        raise InvalidCameraError(
            f"binning {message.binning_x} x {message.binning_y} is not supported: send intrinsics of the binned image"
        )
    roi = message.roi
    if (roi.width or roi.height) and (roi.width, roi.height) != (message.width, message.height):
        raise InvalidCameraError(
            f"a region of interest ({roi.width} x {roi.height} of {message.width} x {message.height}) is not "
            "supported: send intrinsics of the cropped image"
        )
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
        K = np.array(message.k, np.float64).reshape(3, 3)
    return Camera.from_opencv(K, message.width, message.height)


def intrinsics_of_rectified(message: Any) -> NDArray[np.float64]:
    """Return [3, 3] of the image after rectification: those of ``P``, or of ``K`` where nobody filled ``P``.

    As in the message, the centre of the first pixel has coordinates 0, 0.
    """
    P = np.asarray(message.p, np.float64).reshape(3, 4)
    return P[:, :3].copy() if P.any() else np.asarray(message.k, np.float64).reshape(3, 3).copy()
