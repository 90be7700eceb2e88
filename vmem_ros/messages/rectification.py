"""Images of lenses made into those of a pinhole camera, as image_proc does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message, intrinsics_of_lens, intrinsics_of_rectified

# How many coefficients OpenCV's models take: radial and tangential, rational, thin prism, tilted sensor. They are one
# polynomial with more and more terms; drivers use both names for all of them.
_POLYNOMIAL = (4, 5, 8, 12, 14)
#: Distortion models, and how many coefficients they have: those of sensor_msgs/distortion_models.hpp, and another name
#: for the last of these.
MODELS = {
    "plumb_bob": _POLYNOMIAL,
    "rational_polynomial": _POLYNOMIAL,
    "equidistant": (4,),
    "fisheye": (4,),
}
_FISHEYE = ("equidistant", "fisheye")


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

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return [H, W]: pixels into which anything of a mask falls; false where the lens saw nothing.

        :raises InvalidImageError: of another size than the intrinsics.
        """
        self._check_size("mask", mask)
        return np.asarray(cv2.remap(mask.astype(np.float32), self.x, self.y, cv2.INTER_LINEAR) > 0)

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

    The pinhole camera is that of ``P``, or of ``K`` where ``P`` is empty. It is checked before the maps are made.

    :raises InvalidCameraError: an unknown distortion model, coefficients that it does not have, or no camera.
    """
    if not any(message.d):
        return None
    model, coefficients = lens_of_message(message)
    camera = camera_from_message(message, rectified=True)
    # OpenCV divides by the focal lengths of the lens, too.
    K = intrinsics_of_lens(message)
    Camera.from_opencv(K, camera.width, camera.height)
    rectifier = rectifier_of(
        K, coefficients, model, (camera.width, camera.height), K_pinhole=intrinsics_of_rectified(message)
    )
    if rectifier.outside.all():
        raise InvalidCameraError(
            "K, d and P of CameraInfo do not fit each other, nothing of the image is left after rectification: d is "
            f"{coefficients.tolist()} ({model}); calibrate the camera again"
        )
    return rectifier


def lens_of_message(message: Any) -> tuple[str, NDArray[np.float64]]:
    """Return model and coefficients of a ``sensor_msgs/msg/CameraInfo`` that lists distortion, as OpenCV takes them.

    Zeros behind those that a model has are left out. A model without a name is known by the number of coefficients,
    but for four.

    :raises InvalidCameraError: an unknown model, or coefficients that it does not have.
    """
    model, d = message.distortion_model.strip(), np.asarray(message.d, np.float64)
    if not model and len(d) in _POLYNOMIAL[1:]:
        model = "plumb_bob"
    allowed = MODELS.get(model)
    if allowed is None:
        names = f"use {', '.join(MODELS)}"
        if not model or model.lower() == "none":
            raise InvalidCameraError(
                f"CameraInfo lists distortion {d.tolist()} and distortion_model {model!r}: {names}, or empty d if the "
                "image has none"
            )
        raise InvalidCameraError(
            f"distortion model {model!r} is not supported: {names}, or rectify the image (image_proc), use its "
            "image_rect topic and say so (parameter seed.rectified, or field rectified of ~/add_view)"
        )
    used = np.flatnonzero(d)[-1] + 1
    count = len(d) if len(d) in allowed else next((n for n in reversed(allowed) if used <= n <= len(d)), None)
    if count is None or not np.isfinite(d).all():
        raise InvalidCameraError(
            f"distortion {model} has {' or '.join(map(str, allowed))} finite coefficients, got {d.tolist()}: calibrate "
            "the camera again, or rectify the image (image_proc)"
        )
    return model, d[:count]


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
    undistort: Any = cv2.fisheye.initUndistortRectifyMap if model in _FISHEYE else cv2.initUndistortRectifyMap
    return Rectifier(*undistort(K, np.asarray(coefficients, np.float64), np.eye(3), K_pinhole, size, cv2.CV_32FC1))
