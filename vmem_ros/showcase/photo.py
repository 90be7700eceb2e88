"""A user's own picture, with or without depth, as the first view of a world."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import View

_DEPTH_FILES = "a 16-bit PNG or TIFF in millimetres, or a .npy or .npz file with float metres"
_PLAUSIBLE_M = (0.05, 300.0)


def read_photo(image: Path, depth: Path | None, *, fov_deg: float, max_width: int) -> View:
    """Return a photo as a view, level at the world's origin and looking along its x axis (z is up).

    :param depth: registered to the photo: a 16-bit PNG or TIFF in millimetres (0 unknown), or float metres in .npy or
        .npz. ``None``: not known.
    :param fov_deg: horizontal field of view of the photo.
    :param max_width: larger photos are scaled down to this width.
    :raises InvalidImageError: not readable, another unit, or the two do not belong together.
    """
    rgb = _read_image(image)
    width = min(max_width, rgb.shape[1])
    size = (width, round(rgb.shape[0] * width / rgb.shape[1]))
    depth_m = None if depth is None else _read_depth_of(image, rgb, depth, size)
    if rgb.shape[1::-1] != size:
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return View(
        image=torch.from_numpy(rgb),
        camera=Camera.from_fov(*size, fov_deg),
        T_world_camera=look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
        depth=None if depth_m is None else torch.from_numpy(depth_m),
        source="observed",
    )


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as file:
            return np.asarray(ImageOps.exif_transpose(file).convert("RGB")).copy()
    except (FileNotFoundError, UnidentifiedImageError, OSError) as error:
        raise InvalidImageError(f"cannot read the image {path}: {error}") from error


def _read_depth_of(image: Path, rgb: np.ndarray, depth: Path, size: tuple[int, int]) -> np.ndarray:
    """Return the depth of a picture in metres, of a size (width, height)."""
    depth_m = _read_depth(depth)
    if abs(depth_m.shape[1] / depth_m.shape[0] - rgb.shape[1] / rgb.shape[0]) > 0.02:
        raise InvalidImageError(
            f"{image.name} is {rgb.shape[1]} x {rgb.shape[0]} but {depth.name} is {depth_m.shape[1]} x "
            f"{depth_m.shape[0]}: the depth must cover the same picture (registered, same aspect ratio)"
        )
    # Depth is picked, never averaged: a mean across an edge is a surface that does not exist.
    return cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)


def _read_depth(path: Path) -> np.ndarray:
    """Return depth as float32 metres [H, W], NaN where unknown."""
    if not path.is_file():
        raise InvalidImageError(f"cannot read the depth {path}: no such file; it should be {_DEPTH_FILES}")
    values = _read_array(path) if path.suffix.lower() in (".npy", ".npz") else _read_picture(path)
    if values.ndim != 2 or values.dtype not in (np.uint16, np.float16, np.float32, np.float64):
        raise InvalidImageError(
            f"{path.name} is {values.dtype} {list(values.shape)}, which has no unit of length: it should be "
            f"{_DEPTH_FILES}"
        )
    depth_m = values.astype(np.float32) * (np.float32(1e-3) if values.dtype == np.uint16 else np.float32(1))
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    if np.isnan(depth_m).all():
        raise InvalidImageError(f"{path.name} holds no positive depth")
    median = float(np.nanmedian(depth_m))
    if not _PLAUSIBLE_M[0] <= median <= _PLAUSIBLE_M[1]:
        raise InvalidImageError(
            f"{path.name} has a median depth of {median:g} m, outside {_PLAUSIBLE_M[0]:g} to {_PLAUSIBLE_M[1]:g} m: "
            f"the unit is probably wrong; it should be {_DEPTH_FILES}"
        )
    return depth_m


def _read_picture(path: Path) -> np.ndarray:
    values: np.ndarray | None = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise InvalidImageError(f"cannot read the depth {path}: it should be {_DEPTH_FILES}")
    return values


def _read_array(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise InvalidImageError(f"{path.name} holds the arrays {loaded.files}: save the depth map alone")
            return np.asarray(loaded[loaded.files[0]])
    except InvalidImageError:
        raise
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise InvalidImageError(f"cannot read the depth {path}: {error}") from error
