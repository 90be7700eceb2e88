"""Recordings that are files of pictures: what the layouts of folders have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vmem_ros.errors import RecordingError
from vmem_ros.messages.observed_view import ObservedView
from vmem_ros.recordings.lens import Lens
from vmem_ros.types import Target, View


@dataclass(frozen=True, eq=False)
class FrameFiles:
    """The files of one frame.

    :param depth: ``None`` if the recording has no depth.
    :param T_world_camera: [4, 4] in the world of the recording.
    """

    name: str
    image: Path
    depth: Path | None
    T_world_camera: Tensor
    stamp_ns: int = 0


class ImageFiles:
    """A :class:`~vmem_ros.recordings.source.Source` of picture files: any colour images, 16-bit depth images.

    :param lens: of the colour camera, to which depth is registered.
    :param metres_per_unit: of the depth images.
    :param unknown: values of depth, besides 0, that say that nothing was measured.
    """

    def __init__(
        self,
        layout: str,
        frames: Sequence[FrameFiles],
        lens: Lens,
        *,
        metres_per_unit: float,
        unknown: Sequence[int] = (),
        up: str | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.layout, self.up, self.notes = layout, up, notes
        self._frames = frames
        self._lens = lens
        self._metres_per_unit = metres_per_unit
        self._unknown = unknown
        self.names = [frame.name for frame in frames]
        self.targets = [Target(lens.camera, frame.T_world_camera, frame.stamp_ns) for frame in frames]

    def read(self, index: int) -> ObservedView:
        """See :class:`~vmem_ros.recordings.source.Source`."""
        frame, lens = self._frames[index], self._lens
        image = read_image(frame.image)
        if image.shape[:2] != lens.camera.size:
            raise RecordingError(f"{frame.image} is {_size(image)}, but the intrinsics are for {self._size()}")
        depth = None if frame.depth is None else self._read_depth(frame.depth)
        mask = None
        if lens.rectifier is not None:
            image, mask = lens.rectifier.image(image), torch.from_numpy(lens.rectifier.outside)
            depth = None if depth is None else lens.rectifier.depth(depth)
        view = View(
            image=torch.from_numpy(image),
            camera=lens.camera,
            T_world_camera=frame.T_world_camera,
            depth=None if depth is None else torch.from_numpy(depth),
            stamp_ns=frame.stamp_ns,
        )
        return ObservedView(view, mask)

    def close(self) -> None:
        """Nothing stays open."""

    def _read_depth(self, path: Path) -> NDArray[np.float32]:
        """Return [H, W] in metres, NaN where nothing was measured."""
        values, lens_size = _read(path), self._lens.camera.size
        if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer) or values.dtype == np.uint8:
            raise RecordingError(f"{path} is {values.dtype} {list(values.shape)}: depth is one channel of 16 bits")
        (rows, columns), (height, width) = values.shape, lens_size
        if abs(columns * height - rows * width) > max(rows, height):
            raise RecordingError(
                f"{path} is {_size(values)}, but its picture is {self._size()}: depth must be registered to colour and "
                "show the same part of the world"
            )
        depth = values.astype(np.float32) * np.float32(self._metres_per_unit)
        depth[np.isin(values, (0, *self._unknown))] = np.nan
        if depth.shape != lens_size:
            return np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
        return depth

    def _size(self) -> str:
        return f"{self._lens.camera.width} x {self._lens.camera.height}"


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB as it is stored: intrinsics belong to that, so a note of the camera to turn it is ignored.

    :raises RecordingError: the file is missing, damaged or truncated.
    """
    return np.asarray(_read(path, "RGB"), np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture, from its head alone.

    :raises RecordingError: the file is missing or no picture.
    """
    try:
        with Image.open(path) as file:
            return file.size
    except (OSError, UnidentifiedImageError) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error


def _size(pixels: NDArray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def _read(path: Path, mode: str | None = None) -> NDArray:
    try:
        with Image.open(path) as file:
            return np.array(file.convert(mode) if mode else file)
    # Damaged files end the decoders of PIL in many ways; SyntaxError is one of PNG's.
    except (OSError, ValueError, SyntaxError) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
