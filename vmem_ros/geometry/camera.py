"""Pinhole intrinsics bound to an image size."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.errors import InvalidCameraError

# Beyond this an intrinsic matrix is a mistake (millimetres, normalised units, a transposed matrix), not a lens.
_MAX_SIDE = 16384
_FOV_RANGE_DEG = (0.5, 175.0)
_ROUNDING = 1e-5
# Between pixel centres at +0.5 and those at integers.
_HALF_PIXEL = 0.5


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera: intrinsics in pixels and the image size they belong to.

    :param K: [3, 3] float64, anything :func:`torch.as_tensor` takes. Pixel centres lie at +0.5, so the image spans
        ``[0, width] x [0, height]`` (ROS and OpenCV put centres at integers: :meth:`from_opencv`, :attr:`K_opencv`).
    :param width: image width in pixels.
    :param height: image height in pixels.
    :raises InvalidCameraError: non-finite or absurd intrinsics, or a size out of range.
    """

    K: Tensor
    width: int
    height: int

    def __post_init__(self) -> None:
        K = torch.as_tensor(self.K, dtype=torch.float64).detach().cpu().clone()
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "width", int(self.width))
        object.__setattr__(self, "height", int(self.height))
        if K.shape != (3, 3):
            raise InvalidCameraError(f"K must have shape [3, 3], got {list(K.shape)}")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 1 <= side <= _MAX_SIDE:
                raise InvalidCameraError(f"{name} must be 1 to {_MAX_SIDE} pixels, got {side}")
        if not all(map(math.isfinite, itertools.chain(*K.tolist()))):
            raise InvalidCameraError(f"K must be finite, got {K.tolist()}")
        if not _is_intrinsic(K):
            raise InvalidCameraError(f"K must be upper triangular with last row 0 0 1, got {K.tolist()}")
        low, high = _FOV_RANGE_DEG
        for name, focal, side in (("fx", self.fx, self.width), ("fy", self.fy, self.height)):
            fov = 2 * math.degrees(math.atan2(side / 2, focal)) if focal > 0 else float("nan")
            if not low - _ROUNDING <= fov <= high + _ROUNDING:
                raise InvalidCameraError(
                    f"{name} = {focal:g} px over {side} px is no usable lens (field of view must be {low:g} to "
                    f"{high:g} degrees); a zero focal length means an uncalibrated camera"
                )
        if not (-self.width <= self.cx <= 2 * self.width and -self.height <= self.cy <= 2 * self.height):
            raise InvalidCameraError(
                f"principal point ({self.cx:g}, {self.cy:g}) is far outside the {self.width} x {self.height} image"
            )

    @classmethod
    def from_fov(cls, width: int, height: int, fov_deg: float) -> Camera:
        """Return a camera with square pixels, centred principal point and a *horizontal* field of view in degrees."""
        low, high = _FOV_RANGE_DEG
        if not low <= fov_deg <= high:
            raise InvalidCameraError(f"fov_deg must be {low:g} to {high:g}, got {fov_deg:g}")
        focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
        return cls(torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), width, height)

    @classmethod
    def from_opencv(cls, K: object, width: int, height: int) -> Camera:
        """Return a camera from intrinsics that put pixel centres at integers, as OpenCV, ROS and most files do.

        :param K: [3, 3], anything :func:`torch.as_tensor` takes.
        """
        shifted = torch.as_tensor(K, dtype=torch.float64).clone()
        if _is_intrinsic(shifted):  # others are refused below, as they were given
            shifted[:2, 2] += _HALF_PIXEL
        return cls(shifted, width, height)

    @property
    def K_opencv(self) -> Tensor:
        """[3, 3] float64 intrinsics that put pixel centres at integers; see :meth:`from_opencv`."""
        shifted = self.K.clone()
        shifted[:2, 2] -= _HALF_PIXEL
        return shifted

    @property
    def fx(self) -> float:
        """Horizontal focal length in pixels."""
        return float(self.K[0, 0])

    @property
    def fy(self) -> float:
        """Vertical focal length in pixels."""
        return float(self.K[1, 1])

    @property
    def cx(self) -> float:
        """Principal point, pixels from the left edge."""
        return float(self.K[0, 2])

    @property
    def cy(self) -> float:
        """Principal point, pixels from the upper edge."""
        return float(self.K[1, 2])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), the order of tensor axes."""
        return self.height, self.width

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera that sees the same picture in ``width`` x ``height`` pixels."""
        scale = torch.tensor([[width / self.width], [height / self.height], [1.0]], dtype=torch.float64)
        return Camera(self.K * scale, width, height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """Return the camera that sees a window of the picture, whose principal point may lie far outside of it.

        :param left: columns and rows that the window begins after; ``width`` x ``height`` is its size.
        """
        K = self.K.clone()
        K[0, 2] -= left
        K[1, 2] -= top
        window = object.__new__(Camera)  # what holds for lenses does not for a window of one
        for name, value in (("K", K), ("width", width), ("height", height)):
            object.__setattr__(window, name, value)
        return window

    def without_skew(self) -> Camera:
        """Return the camera with square corners, if it has none: what looks and does not show may ignore skew."""
        if not self.K[0, 1]:
            return self
        K = self.K.clone()
        K[0, 1] = 0
        return Camera(K, self.width, self.height)

    def widened(self, scale: float) -> Camera:
        """Return the same image size with ``tan(fov / 2)`` multiplied by ``scale`` (focal lengths divided by it).

        No lens becomes wider than a camera may be.
        """
        shortest = 0.5 / math.tan(math.radians(_FOV_RANGE_DEG[1]) / 2)
        scale = min(scale, max(1.0, min(self.fx / self.width, self.fy / self.height) / shortest))
        K = self.K.clone()
        K[0, :2] /= scale
        K[1, 1] /= scale
        return Camera(K, self.width, self.height)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Camera):
            return NotImplemented
        return self.size == other.size and torch.equal(self.K, other.K)

    def __hash__(self) -> int:
        return hash((self.size, tuple(self.K.flatten().tolist())))


def _is_intrinsic(K: Tensor) -> bool:
    """Return whether values have the form of intrinsics: finite, upper triangular, with last row 0 0 1."""
    if K.shape != (3, 3):
        return False
    rows = K.tolist()
    return all(map(math.isfinite, itertools.chain(*rows))) and rows[1][0] == 0 and rows[2] == [0, 0, 1]
