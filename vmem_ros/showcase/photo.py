"""A user's own picture, with or without depth, as the first view of a world."""

from __future__ import annotations

import math
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import View

#: Field of view along the longer side of a photo that says nothing of it: that of a telephone, about.
DEFAULT_FOV_DEG = 60.0
# Width of a picture on 35 mm film.
_FILM_MM = 36.0
_LEAST_SIDE, _LONGEST = 32, 6

_DEPTH_FILES = "a 16-bit PNG or TIFF in millimetres, or a .npy or .npz file with float metres"
_PLAUSIBLE_M = (0.05, 300.0)


def read_photo(image: Path, depth: Path | None, *, fov_deg: float | None, max_width: int) -> View:
    """Return a photo as a view, level at the world's origin and looking along its x axis (z is up).

    It is turned as its EXIF says, grey is grey in all colours, and what is transparent is white.

    :param depth: registered to the photo: a 16-bit PNG or TIFF in millimetres (0 unknown), or float metres in .npy or
        .npz. ``None``: not known.
    :param fov_deg: horizontal field of view of the photo; ``None``: as its EXIF says, else
        :data:`DEFAULT_FOV_DEG` along its longer side.
    :param max_width: larger photos are scaled down to this width.
    :raises InvalidImageError: not readable, too small or too long, another unit, or the two do not belong together.
    :raises InvalidCameraError: a field of view that no camera has.
    """
    rgb, focal_35mm = _read_image(image)
    if fov_deg is None:
        fov_deg = _fov(rgb.shape[1], rgb.shape[0], focal_35mm)
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


def _read_image(path: Path) -> tuple[np.ndarray, float | None]:
    """Return the picture upright, uint8 [H, W, 3], and the focal length in millimetres of 35 mm film, if it says so."""
    try:
        with Image.open(path) as file:
            focal = file.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
            rgb = _as_rgb(ImageOps.exif_transpose(file))
    # Pillow raises SyntaxError for some damaged files, and ValueError for kinds that it cannot decode.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidImageError(f"cannot read the image {path}: {error}; it should be a JPEG, PNG or WebP") from error
    height, width = rgb.shape[:2]
    if min(height, width) < _LEAST_SIDE:
        raise InvalidImageError(
            f"the image {path} is {width} x {height}: a photo needs {_LEAST_SIDE} pixels along each side"
        )
    if max(height, width) > _LONGEST * min(height, width):
        raise InvalidImageError(
            f"the image {path} is {width} x {height}, more than {_LONGEST} times as long as it is wide: a panorama is "
            "no picture of one camera; cut a part out of it"
        )
    return rgb, float(focal) if isinstance(focal, int | float) and focal > 0 else None


def _as_rgb(picture: Image.Image) -> np.ndarray:
    """Return a picture of any kind as uint8 [H, W, 3]."""
    if picture.mode.startswith("I"):
        # Pillow would cut off what is brighter than 255.
        values = np.asarray(picture).astype(np.float32) / 257
        return np.repeat(values.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no brightness that is known")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.asarray(picture.convert("RGB")).copy()


def _fov(width: int, height: int, focal_35mm: float | None) -> float:
    """Return the horizontal field of view in degrees of a photo.

    :param focal_35mm: the focal length that has this field of view on 35 mm film, along the longer side of both.
    """
    along = math.tan(math.radians(DEFAULT_FOV_DEG) / 2) if focal_35mm is None else _FILM_MM / 2 / focal_35mm
    return 2 * math.degrees(math.atan(along * width / max(width, height)))


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
