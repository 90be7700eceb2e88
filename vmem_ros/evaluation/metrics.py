"""How far two pictures, two depth maps or two poses are apart.

Images are uint8 [H, W, 3] RGB of equal size. Everything is weight-free and deterministic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import as_pose
from vmem_ros.types import as_image, as_map

_PEAK = 255.0
_WINDOW, _SIGMA = 11, 1.5


def _pair(image: object, reference: object) -> tuple[Tensor, Tensor]:
    a, b = as_image(image), as_image(reference, "reference")
    if a.shape != b.shape:
        raise InvalidImageError(
            f"image is {a.shape[1]} x {a.shape[0]} but the reference is {b.shape[1]} x {b.shape[0]}: "
            "render both with the same camera"
        )
    # Variances below are differences of nearly equal numbers.
    return a.cpu().to(torch.float64), b.cpu().to(torch.float64)


def psnr(image: Tensor, reference: Tensor, *, mask: Tensor | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB, ``10 log10(255^2 / MSE)``; ``inf`` for equal pictures.

    :param mask: [H, W] bool: compare only here. NaN if it selects nothing.
    :raises InvalidImageError: not images, or of different size.
    """
    a, b = _pair(image, reference)
    squared = (a - b).square().mean(dim=-1)
    if mask is not None:
        squared = squared[mask.cpu()]
    error = float(squared.mean())
    return math.inf if error == 0 else 10 * math.log10(_PEAK**2 / error)


def ssim(image: Tensor, reference: Tensor, *, mask: Tensor | None = None) -> float:
    """Return the mean structural similarity (Wang et al. 2004), 1 for equal pictures.

    Gaussian window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, per colour channel, over the pixels whose whole
    window lies inside the image.

    :param mask: [H, W] bool: compare only here, by what windows hold of it. NaN if it selects nothing.
    :raises InvalidImageError: not images, of different size, or smaller than the window.
    """
    a, b = _pair(image, reference)
    if min(a.shape[:2]) < _WINDOW:
        raise InvalidImageError(f"SSIM needs images of at least {_WINDOW} x {_WINDOW}, got {a.shape[1]} x {a.shape[0]}")
    x, y = (t.numpy() / _PEAK for t in (a, b))
    inside = np.ones(x.shape[:2], bool) if mask is None else mask.cpu().numpy()
    margin = _WINDOW // 2
    compared = inside[margin:-margin, margin:-margin]

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)
        return np.asarray(blurred[margin:-margin, margin:-margin][compared])

    # At a pixel of the mask a window holds some of it at least.
    share = smooth(inside.astype(np.float64))[:, None]

    def local_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(smooth(values * inside[..., None]) / share)

    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x, var_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity = numerator / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(similarity.mean()) if len(similarity) else math.nan


def exposure_corrected(image: Tensor, reference: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Return an image with the gain and the offset of each channel that bring it nearest to another, by least squares.

    Cameras set exposure and white balance as they like: what is left after this is no matter of either.

    :param mask: [H, W] bool: fitted here, applied everywhere.
    :return: [H, W, 3] uint8; the image itself where the mask selects nothing.
    :raises InvalidImageError: not images, or of different size.
    """
    a, b = _pair(image, reference)
    x, y = (a, b) if mask is None else (a[mask.cpu()], b[mask.cpu()])
    x, y = x.reshape(-1, 3), y.reshape(-1, 3)
    if not len(x):
        return as_image(image).cpu()
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    variance = (x - mean_x).square().mean(dim=0)
    covariance = ((x - mean_x) * (y - mean_y)).mean(dim=0)
    gain = torch.where(variance > 0, covariance / variance.clamp(min=1e-12), 0.0)
    return ((a - mean_x) * gain + mean_y).round().clamp(0, _PEAK).to(torch.uint8)


@dataclass(frozen=True)
class DepthErrors:
    """Errors of a depth map over the pixels where both maps have a finite depth.

    :param abs_rel: mean of ``|d - d*| / d*``.
    :param median_m: median of ``|d - d*|`` in metres.
    :param coverage: share of the pixels with a true depth where a depth was given.
    """

    abs_rel: float
    median_m: float
    coverage: float


def depth_errors(depth: Tensor, truth: Tensor) -> DepthErrors:
    """Return the errors of z-depth [H, W] in metres against the true one; NaN and infinite depths do not count.

    :raises InvalidImageError: not float maps of equal size.
    """
    truth = as_map(truth, tuple(truth.shape[:2]), "true depth").cpu()  # type: ignore[arg-type]
    depth = as_map(depth, tuple(truth.shape), "depth").cpu()  # type: ignore[arg-type]
    known = torch.isfinite(truth)
    both = known & torch.isfinite(depth)
    if not bool(both.any()):
        return DepthErrors(math.nan, math.nan, 0.0)
    error = (depth[both] - truth[both]).abs()
    return DepthErrors(
        abs_rel=float((error / truth[both]).mean()),
        median_m=float(error.median()),
        coverage=float(both.sum() / known.sum()),
    )


def median_relative_depth_error(depth: Tensor, truth: Tensor, *, mask: Tensor | None = None) -> float:
    """Return the median of ``|d - d*| / d*`` over the pixels where both z-depths [H, W] are finite; NaN if none is.

    :param mask: [H, W] bool: compare only here.
    """
    depth, truth = depth.cpu(), truth.cpu()
    both = torch.isfinite(depth) & torch.isfinite(truth)
    if mask is not None:
        both &= mask.cpu()
    return float(((depth[both] - truth[both]).abs() / truth[both]).median()) if bool(both.any()) else math.nan


@dataclass(frozen=True)
class PoseError:
    """Distance between two poses: rotation angle in degrees, distance in metres."""

    rotation_deg: float
    translation_m: float


def pose_error(T_world_camera: Tensor, truth: Tensor) -> PoseError:
    """Return how far a pose [4, 4] is from the true one."""
    A, B = as_pose(T_world_camera), as_pose(truth)
    chord = torch.linalg.matrix_norm(A[:3, :3] - B[:3, :3]) / (2 * math.sqrt(2))
    angle = 2 * torch.asin(chord.clamp(max=1.0))
    return PoseError(math.degrees(float(angle)), float(torch.linalg.vector_norm(A[:3, 3] - B[:3, 3])))
