"""Depth of one camera as another one beside it would have measured it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, project, transform, unproject

# A pixel that is seen from so near that it covers more than this is a speck before the lens.
_LARGEST_PX = 16


def register_depth(depth: Tensor, depth_camera: Camera, camera: Camera, T_camera_depth: Tensor) -> Tensor:
    """Return z-depth [H, W] float32 of ``camera``, NaN where the depth camera saw nothing.

    Every pixel becomes a square as large as it looks in the other picture, so that a coarse depth image leaves no
    stripes in a fine one; where several fall on a pixel, the nearest counts. What is hidden from the depth camera stays
    unknown.

    :param depth: [h, w] z-depth in metres; values that are not finite are unknown.
    :param T_camera_depth: [4, 4], the pose of the depth camera in the other one's optical frame.
    """
    points = unproject(depth.to(torch.float64), depth_camera)[torch.isfinite(depth)]
    points = transform(T_camera_depth, points)
    points = points[points[:, 2] > 0]
    # From far to near: of values that NumPy writes to one place, the last one stays.
    points = points[points[:, 2].argsort(descending=True)]
    pixels, z = (values.numpy() for values in project(points, camera))
    depth_there = transform(invert(T_camera_depth), points)[:, 2].numpy()
    focal = np.array([camera.fx / depth_camera.fx, camera.fy / depth_camera.fy])
    half = ((depth_there / z)[:, None] * focal).clip(1, _LARGEST_PX) / 2
    first, last = np.ceil(pixels - half - 0.5), np.floor(pixels + half - 0.5)
    size = np.array([camera.width, camera.height])
    out = np.full(camera.height * camera.width, np.inf)
    for down, right in np.ndindex(*((last - first).max(axis=0, initial=-1).astype(int)[::-1] + 1)):
        at = first + np.array([right, down])
        inside = ((at <= last) & (at >= 0) & (at < size)).all(axis=1)
        column, row = at[inside].astype(np.int64).T
        layer = np.full_like(out, np.inf)
        layer[row * camera.width + column] = z[inside]
        np.minimum(out, layer, out=out)
    out[np.isinf(out)] = np.nan
    return torch.from_numpy(out.reshape(camera.size).astype(np.float32))
