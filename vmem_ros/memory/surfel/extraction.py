"""From a point map to surfels: one every few pixels, never mixing depths across an edge."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, normals_from_points
from vmem_ros.geometry.normals import SAME_SURFACE
from vmem_ros.kernels import usable
from vmem_ros.memory.surfel import compiled_extraction as compiled
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.types import PointMap

#: Weight of the obliqueness-free part in the radius, alpha in the paper.
ALPHA = 0.2
_FEWEST_PER_SIDE = 16
# Rows and columns of a patch of surfels: a patch is a block.
_PATCH = (4, 8)


def surfel_radius(depth: Tensor, cosine: Tensor, focal: float) -> Tensor:
    """Return disk radii [N] in metres: ``r = 1/2 * (D/f) / (alpha + (1 - alpha) * |n . v|)`` (VMem, section 3.1).

    :param depth: [N] z-depth in metres.
    :param cosine: [N] ``n . v`` between the normal and the *unit* viewing direction.
    :param focal: focal length in pixels *at surfel resolution*, so that ``D/f`` is the spacing of surfels.
    """
    return 0.5 * (depth / focal) / (ALPHA + (1 - ALPHA) * cosine.abs())


def grid_shape(height: int, width: int, stride: float) -> tuple[int, int]:
    """Return (rows, columns) of surfels for an image: one every ``stride`` pixels, at least 16 a side."""
    rows, columns = (min(side, max(_FEWEST_PER_SIDE, round(side / stride))) for side in (height, width))
    return rows, columns


@functools.lru_cache(maxsize=16)
def grid_camera(camera: Camera, stride: float) -> Camera:
    """Return the camera with a pixel a cell of :func:`grid_shape`, without skew."""
    rows, columns = grid_shape(*camera.size, stride)
    return camera.resized(columns, rows).without_skew()


@functools.lru_cache(maxsize=16)
def grid_pixels(height: int, width: int, stride: float, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the rows [R] and the columns [C] int64 of the pixels in the middle of the cells of :func:`grid_shape`.

    Of the shapes of late they are always the same tensors: to read.
    """
    rows, columns = grid_shape(height, width, stride)
    v = ((torch.arange(rows, device=device) + 0.5) * (height / rows)).long()
    u = ((torch.arange(columns, device=device) + 0.5) * (width / columns)).long()
    return v, u


def sample_surfels(
    point_map: PointMap,
    image: Tensor,
    *,
    observed: bool,
    stride: float,
    min_confidence: float,
    known: Tensor | None = None,
) -> SurfelCloud:
    """Return the surfels of one view, in its *optical frame*.

    Each grid cell takes the pixel nearest to its centre, as it is: a mean would put surfels between surfaces. Points
    without a normal or without any confidence are dropped.

    :param image: [H, W, 3] uint8.
    :param observed: a real camera took the view; the surfels of a generated one are imagined, all of them: what of it
        is remembered has surfels already.
    :param stride: wanted spacing in pixels.
    :param min_confidence: of a generated view, points with less are dropped, too.
    :param known: [H, W] bool: pixels that make no surfels, because some stand there already.
    """
    camera = point_map.camera
    device = point_map.confidence.device
    v, u = grid_pixels(*camera.size, stride, device=device)
    rows, columns = len(v), len(u)
    spacing = ((camera.width / columns) * (camera.height / rows)) ** 0.5
    focal = (camera.fx * camera.fy) ** 0.5 / spacing
    # Doubt about what a camera saw is no reason to forget it; 0 says that no surface is there.
    least = 0.0 if observed else min_confidence
    if library := usable(point_map.confidence, image):
        constants = {
            "patch_rows": _PATCH[0],
            "patch_columns": _PATCH[1],
            "least_confidence": least,
            "alpha": ALPHA,
            "focal": focal,
            "same_surface": SAME_SURFACE,
        }
        return compiled.sample_surfels(library, point_map, image, known, v, u, constants, observed=observed)
    # In square patches rather than row by row: surfels that are stored together should lie together.
    patch_row, patch_column = (
        torch.arange(n, device=device) // side for n, side in zip((rows, columns), _PATCH, strict=True)
    )
    order = torch.argsort((patch_row[:, None] * columns + patch_column).flatten(), stable=True)
    pixel = (v[:, None] * camera.width + u[None, :]).flatten()[order]

    points = point_map.points.reshape(-1, 3)[pixel]
    normals = normals_from_points(point_map.points, rows=v, columns=u).reshape(-1, 3)[order]
    confidence = point_map.confidence.flatten()[pixel]
    keep = torch.isfinite(normals).all(dim=-1) & torch.isfinite(points).all(dim=-1)
    keep &= confidence >= least if least else confidence > 0
    if known is not None:
        keep &= ~known.flatten()[pixel]
    points, normals, pixel = points[keep], normals[keep], pixel[keep]

    cosine = (normals * torch.nn.functional.normalize(points, dim=-1)).sum(dim=-1)
    return SurfelCloud(
        position=points,
        normal=normals,
        radius=surfel_radius(points[:, 2], cosine, focal),
        color=image.reshape(-1, 3)[pixel],
        provenance=torch.full_like(points[:, 0], float(observed)),
    )
