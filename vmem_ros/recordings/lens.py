"""The camera of a recording whose intrinsics are numbers in a file, or given by the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidCameraError, RecordingError
from vmem_ros.geometry import Camera
from vmem_ros.messages.rectification import MODELS, Rectifier, rectifier_of

#: What intrinsics may be, for messages.
FORMS = (
    "a 3 x 3 matrix, or one row fx fy cx cy, with 4, 5, 8, 12 or 14 coefficients of distortion behind it if the lens "
    "has any; the centre of the first pixel has coordinates 0, 0"
)

# OpenCV's polynomial, whose number of coefficients says which of its terms there are.
_MODEL = "plumb_bob"


@dataclass(frozen=True, eq=False)
class Lens:
    """A camera as it was calibrated, and the pinhole camera that its pictures are made into.

    :param camera: the pinhole camera.
    :param rectifier: how pictures become its; ``None`` if they are already.
    """

    camera: Camera
    rectifier: Rectifier | None


def lens_of(values: Sequence[float] | NDArray[np.float64], size: tuple[int, int], *, whose: str) -> Lens:
    """Return the lens of intrinsics in one of :data:`FORMS`.

    :param size: width and height of its pictures.
    :param whose: where the intrinsics are from, for messages.
    :raises RecordingError: numbers of another form, or no camera.
    """
    numbers = np.asarray(values, np.float64)
    K, coefficients = np.eye(3), np.empty(0)
    if numbers.ndim == 2 and min(numbers.shape) >= 3:
        K = numbers[:3, :3].copy()
    elif numbers.ndim == 1 and len(numbers) - 4 in (0, *MODELS[_MODEL]):
        K[0, 0], K[1, 1], K[0, 2], K[1, 2] = numbers[:4]
        coefficients = numbers[4:]
    else:
        raise RecordingError(f"{whose} has numbers of shape {list(numbers.shape)}: write {FORMS}")
    try:
        camera = Camera.from_opencv(K, *size)
    except InvalidCameraError as error:
        raise RecordingError(f"{whose}: {error}") from error
    if not coefficients.any():
        return Lens(camera, None)
    return Lens(camera, rectifier_of(K, coefficients, _MODEL, size, K_pinhole=K))


def read_intrinsics(path: Path) -> NDArray[np.float64]:
    """Return the numbers of a text file: a matrix, or one row.

    :raises RecordingError: it is missing or holds no numbers.
    """
    try:
        numbers = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read the intrinsics {path}: {error}; write {FORMS}") from error
    return numbers[0] if len(numbers) == 1 else numbers
