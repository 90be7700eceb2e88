"""Small holes of what a memory shows, closed along surfaces: cracks between elements, and pixels at torn edges."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.geometry.depth_gaps import STEEPEST, gap_ends
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.geometry.one_surface import OneSurface
from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_small_holes as compiled
from vmem_ros.types import CLOSED_CONFIDENCE, Projection

# Pixels: a hole into which a larger square fits is none of the small ones.
_WIDEST = 4


def close_small_holes(shown: Projection, camera: Camera) -> Projection:
    """Return the same with its small holes closed, in colour and depth, and marked by :data:`CLOSED_CONFIDENCE`.

    A pixel is closed linearly between the ends of the hole in its row and its column, if it is at most 4 pixels wide
    there and its ends are on one surface; where row and column do not both agree, an edge runs through the hole. Large
    holes are left alone, and their borders. What is shown stays bit by bit as it is. A closed pixel belongs to the
    element at the nearer end.
    """
    focal = (camera.fx * camera.fy) ** 0.5
    if library := usable(shown.image, shown.depth, shown.seen, shown.ids, shown.confidence):
        return compiled.close_small_holes(library, shown, widest=_WIDEST, per_pixel=STEEPEST / focal)
    seen = shown.seen.cpu().numpy()
    small = _small(~seen)
    if not small.any():
        return shown
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.reciprocal(shown.depth.cpu().numpy()).ravel()
        colors = shown.image.cpu().numpy().reshape(-1, 3).astype(np.float32)
        surface = OneSurface(SENSORS["exact"], focal)
        total, count = np.zeros((inverse.size, 4), np.float32), np.zeros(inverse.size, np.float32)
        ids = shown.ids.cpu().numpy().ravel().copy()
        for ends in gap_ends(seen, small, _WIDEST):
            # Of a pixel that row or column refuse the sum is NaN.
            agree = np.where(ends.on(surface, inverse), np.float32(1), np.float32(np.nan))
            total[ends.pixel, :3] += ends.between(colors)
            total[ends.pixel, 3] += ends.between(inverse) * agree
            count[ends.pixel] += 1
            ids[ends.pixel] = ids.take(np.where(ends.to_before <= ends.to_after, ends.before, ends.after))
        pixel = np.flatnonzero((count > 0) & np.isfinite(total[:, 3]))
        mean = torch.from_numpy(total[pixel] / count[pixel, None])
    return _with(shown, torch.from_numpy(pixel), mean, torch.from_numpy(ids[pixel]))


def _small(holes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return [H, W] the pixels of holes into which no large square fits, and that are no border of one."""
    square = np.ones((_WIDEST + 1, _WIDEST + 1), np.uint8)
    large = cv2.erode(holes.view(np.uint8), square)
    # Twice the square: the first brings the hole back, the second keeps away from its ragged border.
    near: NDArray[np.bool_] = cv2.dilate(large, square, iterations=2).astype(bool)
    return holes & ~near


def _with(shown: Projection, pixel: Tensor, mean: Tensor, number: Tensor) -> Projection:
    """Return what is shown with colour and inverse depth [n, 4] and elements ``number`` [n] at some pixels [n]."""
    pixel, mean, number = (each.to(shown.depth.device) for each in (pixel, mean, number))
    image, depth, seen, ids, confidence = (
        each.clone() for each in (shown.image, shown.depth, shown.seen, shown.ids, shown.confidence)
    )
    image.view(-1, 3)[pixel] = mean[:, :3].round().clamp(0, 255).to(torch.uint8)
    depth.view(-1)[pixel] = 1 / mean[:, 3]
    seen.view(-1)[pixel] = True
    ids.view(-1)[pixel] = number
    confidence.view(-1)[pixel] = CLOSED_CONFIDENCE
    return replace(shown, image=image, depth=depth, seen=seen, ids=ids, confidence=confidence)
