"""What a depth camera measured, as good as it can be known: without flying pixels and small gaps, and with doubt."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera, depth_gaps, normals_from_points, unproject
from vmem_ros.geometry.depth_gaps import close_gaps
from vmem_ros.geometry.depth_maps import count_depth
from vmem_ros.geometry.depth_noise import SENSORS, DepthNoise
from vmem_ros.geometry.normals import SAME_SURFACE
from vmem_ros.geometry.one_surface import Array, OneSurface
from vmem_ros.kernels import usable
from vmem_ros.pointmaps import compiled_cleaning as compiled
from vmem_ros.pointmaps import sensor_flying
from vmem_ros.pointmaps.sensor_flying import flying_pixels
from vmem_ros.pointmaps.sensor_options import SensorDepthOptions

#: What ``auto`` takes a sensor for.
UNKNOWN_SENSOR = "structured_light"
#: Where poses leave points anyway, in metres: depth that is off by as much counts half.
POSE_SIGMA_M = 0.01
#: What a closed pixel counts beside one that was read.
CLOSED = 0.5
#: What a reading counts at least: doubt is a weight, and no reason to drop what a camera saw.
LEAST_CONFIDENCE = 0.125
# Slants are those of means of so many pixels a side: noise alone would tilt single pixels by any angle.
_CELL = 6


def clean_depth(depth: Tensor, camera: Camera, options: SensorDepthOptions) -> tuple[Tensor, Tensor]:
    """Return the depth [H, W] of a sensor, cleaned, and how much each pixel is to be trusted.

    Confidence is the share of an inverse variance that is left: ``s^2 / (s^2 + sigma^2)``, with sigma that of the
    sensor at this depth and slant (:mod:`~vmem_ros.geometry.depth_noise`) and s = :data:`POSE_SIGMA_M`, which is added
    to every reading anyway. So readings of several views and sensors are weighted as the best linear estimate would.
    Readings count at least :data:`LEAST_CONFIDENCE`, closed pixels :data:`CLOSED` times what a reading would.

    :param depth: [H, W] float32 z-depth in metres; NaN unknown, +Inf nothing there, which stays.
    :return: depth likewise, and confidence [H, W] float32 in (0, 1]; of what was measured and not exact it is 0 where
        nothing was read.
    """
    kind: str = options.sensor
    if kind == "auto":
        kind = UNKNOWN_SENSOR if count_depth(depth).known < depth.numel() else "exact"
    if kind == "exact":
        return depth, torch.ones_like(depth)
    noise = SENSORS[kind]
    if library := usable(depth):
        return compiled.clean_depth(library, depth, camera, noise, _constants(options))
    measured: Array = depth.cpu().numpy()
    surface = OneSurface(noise, (camera.fx * camera.fy) ** 0.5)
    cleaned = measured.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse: Array = np.reciprocal(measured)
        removed = np.zeros(measured.shape, bool)
        if options.remove_flying:
            removed = flying_pixels(inverse, surface)
            cleaned[removed] = inverse[removed] = np.nan
        whole = close_gaps(inverse, surface, widest=options.close_gaps_px, edges=removed)
        confidence = _confidence(whole, camera, noise)
        closed = np.flatnonzero(np.isnan(inverse) & ~np.isnan(whole))
        cleaned.ravel()[closed] = 1 / whole.ravel()[closed]
    confidence.ravel()[closed] *= CLOSED
    confidence[~np.isfinite(cleaned)] = 0
    return torch.from_numpy(cleaned).to(depth.device), torch.from_numpy(confidence).to(depth.device)


def _confidence(inverse: Array, camera: Camera, noise: DepthNoise) -> Array:
    """Return the confidence [H, W] of readings by the depth and slant around them; what has no slope is edge on."""
    height, width = inverse.shape
    rows, columns = -(-height // _CELL), -(-width // _CELL)
    # What is beyond the border is unknown.
    beyond = ((0, rows * _CELL - height), (0, columns * _CELL - width))
    total, share = (
        cv2.resize(np.pad(each, beyond), (columns, rows), interpolation=cv2.INTER_AREA)
        for each in (np.fmax(inverse, np.float32(0)), (inverse > 0).astype(np.float32))
    )
    depth = torch.from_numpy(share / total)
    K = camera.without_skew().K / torch.tensor([[_CELL], [_CELL], [1.0]], dtype=torch.float64)
    points = unproject(depth, Camera(K, columns, rows))
    normals = normals_from_points(points)
    cosine = (normals * torch.nn.functional.normalize(points, dim=-1)).sum(dim=-1).abs().nan_to_num(nan=0.0)
    confidence = POSE_SIGMA_M**2 / (POSE_SIGMA_M**2 + noise.sigma(depth, cosine).square())
    confidence = confidence.nan_to_num(nan=LEAST_CONFIDENCE).clamp(min=LEAST_CONFIDENCE)
    whole = cv2.resize(confidence.numpy(), (columns * _CELL, rows * _CELL), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[:height, :width], np.float32)


def _constants(options: SensorDepthOptions) -> dict[str, float]:
    """Return what the compiled code is told."""
    return {
        "remove_flying": options.remove_flying,
        "flying_tangent": sensor_flying.STEEPEST,
        "flatter": sensor_flying.FLATTER,
        "fewest": sensor_flying.FEWEST,
        "widest": options.close_gaps_px,
        "rounds": depth_gaps.ROUNDS,
        "gap_tangent": depth_gaps.STEEPEST,
        "cell": _CELL,
        "pose_sigma": POSE_SIGMA_M,
        "least": LEAST_CONFIDENCE,
        "closed": CLOSED,
        "same_surface": SAME_SURFACE,
    }
