"""Exact depth as a depth camera of some kind would have measured it.

What is off where is known of each kind: noise by depth and angle (:mod:`~vmem_ros.geometry.depth_noise`), steps of the
disparity that triangulation reads, edges that waver, mixed readings that fly between two surfaces, and holes: out of
range, at a grazing angle, on black, on gloss, in the shadow of the projector, between the readings of a sensor that is
coarser than the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

from vmem_ros.errors import RecordingError
from vmem_ros.geometry import normals_from_points, unproject
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.recordings.smooth_noise import smooth_noise
from vmem_ros.types import View

Array = NDArray[np.float64]

# Inverse depth is linear over a plane, however slanted: where it bends by more, relative, surfaces end.
_BEND = 0.03
# Of 255: what is darker sends no light back, what is brighter and faces the sensor mirrors it away.
_BLACK, _GLOSS = 14.0, 250.0
_FACING = 0.97
# Of 255: a window that varies less has nothing to match.
_TEXTURELESS, _WINDOW = 1.5, 7
# Beyond this share of the range, readings get lost more and more.
_FADING = 0.8


@dataclass(frozen=True)
class DepthDevice:
    """What a kind of depth camera does besides its noise.

    :param near_m: readings begin here; ``far_m``: and end here.
    :param step: of the disparity it reads, as inverse depth per metre: 1 / (f b) times a part of a pixel; 0: none.
    :param blob_px: errors are alike over so many pixels, as a matching window is wide.
    :param waver_px: by which edges are off.
    :param flying: share of readings at edges that mix both surfaces.
    :param grazing: cosine below which surfaces are lost.
    :param baseline_px_m: focal length in widths of the picture times the distance in metres between the sensor and its
        projector or second eye, which does not see all that it sees; 0: there is none.
    :param dark: share of what is black that is lost.
    :param gloss: share of what glares that is lost.
    :param plain: share of what has no texture that is lost.
    :param coarse: size of its pixels in those of the picture; what lies between is empty.
    :param lines: scan lines over the height of the picture; 0: all of it.
    """

    near_m: float = 0.0
    far_m: float = np.inf
    step: float = 0.0
    blob_px: float = 0.0
    waver_px: float = 0.0
    flying: float = 0.0
    grazing: float = 0.0
    baseline_px_m: float = 0.0
    dark: float = 0.0
    gloss: float = 0.0
    plain: float = 0.0
    coarse: float = 1.0
    lines: int = 0


#: Devices by the name of their kind in :data:`~vmem_ros.geometry.depth_noise.SENSORS`.
DEVICES = {
    "exact": DepthDevice(),
    "stereo": DepthDevice(
        near_m=0.3,
        far_m=8.0,
        step=1e-3,
        blob_px=2.0,
        waver_px=1.2,
        flying=0.4,
        grazing=0.15,
        baseline_px_m=0.04,
        plain=0.5,
    ),
    "structured_light": DepthDevice(
        near_m=0.4,
        far_m=5.0,
        step=2.9e-3,
        blob_px=1.2,
        waver_px=0.8,
        flying=0.15,
        grazing=0.26,
        baseline_px_m=0.07,
        dark=0.7,
        gloss=0.8,
    ),
    "tof": DepthDevice(near_m=0.2, far_m=6.0, waver_px=0.4, flying=0.6, grazing=0.17, dark=0.9, gloss=0.9, coarse=1.12),
    "lidar": DepthDevice(near_m=0.3, far_m=60.0, waver_px=0.3, flying=0.3, grazing=0.08, dark=0.2, gloss=0.5, lines=96),
}


def measured_depth(view: View, sensor: str, rng: np.random.Generator) -> torch.Tensor:
    """Return [H, W] float32 depth in metres, NaN where the sensor has no reading.

    :param view: a picture with exact depth.
    :param sensor: one of :data:`DEVICES`.
    :raises RecordingError: no such sensor, or the view has no depth.
    """
    if sensor not in DEVICES:
        raise RecordingError(f"sensor = {sensor!r} is unknown: use {', '.join(DEVICES)}")
    if view.depth is None:
        raise RecordingError("a sensor is simulated from exact depth, and the view has none")
    device = DEVICES[sensor]
    if device == DepthDevice():
        return view.depth.clone()
    points = unproject(view.depth.to(torch.float64), view.camera)
    normals = normals_from_points(points)
    cosine = -(normals * torch.nn.functional.normalize(points, dim=-1)).sum(dim=-1)
    depth = view.depth.numpy().astype(np.float64)
    depth[~np.isfinite(depth)] = np.nan
    slant = cosine.nan_to_num(0.0).clamp(0, 1).numpy()
    gray = view.image.numpy().astype(np.float64).mean(axis=-1)
    lost = _lost(device, depth, slant, gray, _edges(depth), rng)
    read = _wavering(device, depth, rng)
    read = _flying(device, read, _edges(read), rng)
    sigma = SENSORS[sensor].sigma(torch.from_numpy(read), torch.from_numpy(slant)).numpy()
    # Half of the error is that of the window, half of the pixel.
    error = smooth_noise(read.shape, over=device.blob_px, axes=(0, 1), rng=rng) + rng.normal(size=read.shape)
    read = read + sigma * error / np.sqrt(2)
    if device.step:
        with np.errstate(divide="ignore"):
            read = 1 / (np.round(1 / (read * device.step)) * device.step)
    read[lost | ~(read > device.near_m) | ~(read < device.far_m)] = np.nan
    return torch.from_numpy(read.astype(np.float32))


def _wavering(device: DepthDevice, depth: Array, rng: np.random.Generator) -> Array:
    """Return depth read a little beside where it should be, neighbours alike: edges become ragged."""
    height, width = depth.shape
    off = device.waver_px * smooth_noise((2, height, width), over=1.5, axes=(1, 2), rng=rng)
    rows, columns = np.indices(depth.shape)
    rows = (rows + off[0].round()).clip(0, height - 1).astype(int)
    return depth[rows, (columns + off[1].round()).clip(0, width - 1).astype(int)]


def _edges(depth: Array) -> NDArray[np.bool_]:
    """Return [H, W] which pixels lie beside the end of a surface."""
    inverse, edges = 1 / depth, np.zeros(depth.shape, bool)
    for axis in (0, 1):
        bend = np.abs(np.diff(inverse, n=2, axis=axis)) * (depth[1:-1] if axis == 0 else depth[:, 1:-1])
        edges |= np.pad(bend > _BEND, [(1, 1) if each == axis else (0, 0) for each in (0, 1)])
    return edges


def _flying(device: DepthDevice, depth: Array, edges: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Return depth with some of the readings at edges somewhere between both surfaces."""
    known = np.isfinite(depth)
    low = minimum_filter(np.where(known, depth, np.inf), 3)
    high = maximum_filter(np.where(known, depth, -np.inf), 3)
    mixed = known & edges & (rng.random(depth.shape) < device.flying)
    out = depth.copy()
    out[mixed] = rng.uniform(low[mixed], high[mixed])
    return out


def _lost(
    device: DepthDevice,
    depth: Array,
    slant: Array,
    gray: Array,
    edges: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return [H, W] where there is no reading."""
    # Whole spots get lost, not single pixels.
    chance = 0.5 + 0.29 * smooth_noise(depth.shape, over=3.0, axes=(0, 1), rng=rng)
    fading = (depth / device.far_m - _FADING) / (1 - _FADING)
    # The slant of what lies across an edge is not that of a surface.
    lost = ~np.isfinite(depth) | (~edges & (slant < device.grazing * (1 + 0.3 * rng.normal(size=depth.shape))))
    lost |= (chance < fading) | ((gray < _BLACK) & (chance < device.dark))
    lost |= (gray > _GLOSS) & (slant > _FACING) & (chance < device.gloss)
    if device.plain:
        mean = uniform_filter(gray, _WINDOW)
        variance = uniform_filter(gray**2, _WINDOW) - mean**2
        lost |= (variance < _TEXTURELESS**2) & (chance < device.plain)
    if device.baseline_px_m:
        lost |= _in_shadow(depth, device.baseline_px_m * depth.shape[1])
    return lost | ~_read(device, depth.shape)


def _in_shadow(depth: Array, disparity_px_m: float) -> NDArray[np.bool_]:
    """Return what a second eye to the right does not see: something nearer, farther right, is before it there."""
    columns = np.arange(depth.shape[1]) - disparity_px_m / depth
    farther_right = np.where(np.isfinite(columns), columns, np.inf)[:, ::-1]
    least = np.minimum.accumulate(farther_right, axis=1)[:, ::-1]
    return columns > np.append(least[:, 1:], np.full((len(least), 1), np.inf), axis=1)


def _read(device: DepthDevice, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return [H, W] which pixels get a reading of a sensor that is coarser than the picture."""
    height, width = shape
    got = np.zeros((height, width), bool)
    if device.lines:
        got[np.linspace(0, height - 1, min(device.lines, height)).round().astype(int)] = True
        return got
    # Its pixels seen through another lens: the empty ones make rings, as where one camera is splatted into another.
    y, x = np.mgrid[-1 : 1 : round(height / device.coarse) * 1j, -1 : 1 : round(width / device.coarse) * 1j]
    radius = 1 + 0.06 * (x**2 + y**2 - 2)
    rows, columns = ((y * radius + 1) / 2 * (height - 1)).round(), ((x * radius + 1) / 2 * (width - 1)).round()
    got[rows.astype(int), columns.astype(int)] = True
    return got if device.coarse > 1 else np.ones_like(got)
