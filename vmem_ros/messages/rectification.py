"""Images of lenses made into those of a pinhole camera, as image_proc does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.messages.camera_info import intrinsics_of_rectified

#: Distortion models of sensor_msgs/distortion_models.hpp, and how many coefficients they have.
MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True, eq=False)
class Rectifier:
    """Maps from the pixels of a pinhole camera to those of a lens.

    :param x: [H, W] float32 column in the lens's image; ``y`` its row. Pixel centres are integers.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return [H, W, 3] uint8, black where the lens saw nothing.

        :raises InvalidImageError: of another size than the intrinsics.
        """
        self._check_size("image", image)
        return np.asarray(cv2.remap(image, self.x, self.y, cv2.INTER_LINEAR), np.uint8)

    def depth(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [H, W] float32 in metres, NaN where the lens saw nothing; depths of two surfaces are never mixed.

        :raises InvalidImageError: of another size than the intrinsics.
        """
        self._check_size("depth", depth)
        moved = cv2.remap(
            depth, self.x, self.y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan")
        )
        return np.asarray(moved, np.float32)

    @property
    def outside(self) -> NDArray[np.bool_]:
        """[H, W]: pixels that the lens did not see."""
        height, width = self.x.shape
        inside = (self.x >= 0) & (self.x <= width - 1) & (self.y >= 0) & (self.y <= height - 1)
        return ~inside

    def _check_size(self, what: str, image: NDArray[Any]) -> None:
        (rows, columns), (height, width) = image.shape[:2], self.x.shape
        if (rows, columns) != (height, width):
            raise InvalidImageError(
                f"{what} is {columns} x {rows} but its intrinsics are for {width} x {height}: send the CameraInfo of "
                "that size"
            )


def rectifier_for(message: Any) -> Rectifier | None:
    """Return how images of a ``sensor_msgs/msg/CameraInfo`` are rectified, or ``None`` if they need not be.

    The pinhole camera is that of ``P``, or of ``K`` where ``P`` is empty.

    :raises InvalidCameraError: an unknown distortion model, or coefficients that it does not have.
    """
    if not any(message.d):
        return None
    allowed = MODELS.get(message.distortion_model)
    if allowed is None:
        raise InvalidCameraError(
            f"distortion model {message.distortion_model!r} is not supported: use {', '.join(MODELS)}, or rectify the "
            "image (image_proc), use its image_rect topic and say so (parameter seed.rectified, or field rectified of "
            "~/add_view)"
        )
    if len(message.d) not in allowed or not np.isfinite(message.d).all():
        raise InvalidCameraError(
            f"distortion {message.distortion_model} has {' or '.join(map(str, allowed))} finite coefficients, "
            f"got {list(message.d)}"
        )
    K = np.asarray(message.k, np.float64).reshape(3, 3)
    size = (message.width, message.height)
    return rectifier_of(K, message.d, message.distortion_model, size, K_pinhole=intrinsics_of_rectified(message))


def rectifier_of(
    K: NDArray[np.float64],
    coefficients: ArrayLike,
    model: str,
    size: tuple[int, int],
    *,
    K_pinhole: NDArray[np.float64],
) -> Rectifier:
    """Return how images of a lens are rectified.

    :param K: [3, 3] of the lens; as in messages, the centre of the first pixel has coordinates 0, 0.
    :param coefficients: of the distortion, as many as the model has.
    :param model: one of :data:`MODELS`.
    :param size: width and height of the images, before and after.
    :param K_pinhole: [3, 3] of the pinhole camera that they become.
    """
    undistort: Any = cv2.fisheye.initUndistortRectifyMap if model == "equidistant" else cv2.initUndistortRectifyMap
    return Rectifier(*undistort(K, np.asarray(coefficients, np.float64), np.eye(3), K_pinhole, size, cv2.CV_32FC1))
