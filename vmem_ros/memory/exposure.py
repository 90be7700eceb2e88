"""How brightly each view was taken, from what it shows of the same surfaces as views before it.

Cameras adjust exposure and white balance while they move. The stored pictures stay as they came; a number a channel
says how a view's colours compare, so that views can be blended without seams. Ratios of colours are compared by their
median, which highlights and errors of depth do not move. (Aligning exposures pair by pair is common in panoramas:
Brown and Lowe, Automatic Panoramic Image Stitching using Invariant Features, 2007.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_exposure as compiled
from vmem_ros.memory.other_view import OtherView, TargetPoints
from vmem_ros.types import View

# Points of a view that are compared, on a regular grid.
_POINTS = 600
# Fewer of them in common say nothing.
_FEWEST = 30
# Depths agree within 3 %: both views show the same surface.
_TOLERANCE = 0.03
# Of 255: darker pixels are noise, brighter ones may be cut off.
_DARKEST, _BRIGHTEST = 10.0, 245.0
# Every view is also taken to be exposed as the first, as if so many points said so: errors must not add up over a walk.
_OF_THE_FIRST = 20.0
# Distance (radians + 0.1 * metres) from which on a nearer view counts more for how a picture is shown.
_NEAR = 0.02


def log_exposure(view: View, others: Sequence[View], exposures: Tensor) -> Tensor:
    """Return the logarithm of a view's exposure, a value per channel [3] float32: 0 is that of a memory's first view.

    :param others: stored views with depth that show the same surfaces.
    :param exposures: [n, 3] float32, theirs.
    """
    total, weight = torch.zeros(3), _OF_THE_FIRST
    compared = _compare(view, OtherView.several(others, view.camera, view.T_world_camera))
    for (common, ratio), exposure in zip(compared, exposures.cpu(), strict=True):
        if common < _FEWEST:
            continue
        total += common * (exposure + ratio)
        weight += common
    return total / weight


def shown_exposure(exposures: Tensor, T_world_views: Tensor, T_world_camera: Tensor) -> Tensor:
    """Return the logarithm of the exposure [3] in which views are shown together: mostly that of the nearest.

    :param exposures: [n, 3] float32, theirs; ``T_world_views`` [n, 4, 4].
    """
    distance = geodesic_distance(T_world_views, T_world_camera).float()
    weight = 1 / (distance.square() + _NEAR**2)
    return (exposures * weight[:, None]).sum(dim=0) / weight.sum()


def _compare(view: View, others: Sequence[OtherView]) -> list[tuple[int, Tensor]]:
    """Return how many points the view has in common with each other, and the median logarithm [3] of its colours over
    the other's.

    Points lie on a regular grid of pixels with depth.
    """
    assert view.depth is not None, "the memory stores the depth of every view"
    height, width = view.camera.size
    step = max(1, round((height * width / _POINTS) ** 0.5))
    if library := usable(view.image, view.depth, *(other.view.image for other in others)):
        return compiled.compare_exposure(
            library, view, others, step=step, tolerance=_TOLERANCE, usable=(_DARKEST, _BRIGHTEST)
        )
    v, u = torch.arange(step // 2, height, step), torch.arange(step // 2, width, step)
    pixels = (v[:, None] * width + u).flatten().to(view.depth.device)
    pixels = pixels[torch.isfinite(view.depth.flatten().index_select(0, pixels))]
    return [_compare_at(pixels, view, other, TargetPoints.of(view.depth, pixels)) for other in others]


def _compare_at(pixels: Tensor, view: View, other: OtherView, points: TargetPoints) -> tuple[int, Tensor]:
    """Return what :func:`_compare` does of one other view, at some pixels [n] int64 of the view."""
    look = other.look(points)
    same = (look.ratio - 1).abs() <= _TOLERANCE
    own, theirs = view.image.flatten(0, 1).index_select(0, pixels).float(), other.nearest_colors(look)
    for colors in (own, theirs):
        same &= ((colors > _DARKEST) & (colors < _BRIGHTEST)).all(dim=1)
    if not bool(same.any()):
        return 0, torch.zeros(3)
    return int(same.sum()), (own[same] / theirs[same]).log().median(dim=0).values.cpu()
