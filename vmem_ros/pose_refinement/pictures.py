"""A picture with depth on coarser grids: brightness with its gradient, and surfaces with their normals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vmem_ros.geometry import Camera, normals_from_points, project, unproject

# Depths within a cell, or of neighbouring cells, that differ by less lie on one surface.
_SAME_SURFACE = 0.03
# Beside a jump of this ratio depth and colour of a sensor belong to different surfaces.
_JUMP = 1.1
# ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Surface:
    """Surfaces of a picture on a grid of h x w cells.

    :param camera: its camera, with cells as pixels.
    :param points: [h, w, 3] float64 in the optical frame.
    :param normals: [h, w, 3] float64, unit, facing the camera.
    :param smooth: [h, w] bool: the cell has both, and none of its neighbours lies far in front or behind. Elsewhere
        both are zero.
    """

    camera: Camera
    points: Tensor
    normals: Tensor
    smooth: Tensor

    @classmethod
    def of(cls, depth: Tensor, camera: Camera, stride: int) -> Surface:
        """Return the surfaces of z-depth [H, W], NaN unknown, in cells of ``stride`` x ``stride`` pixels."""
        inverse = _mean_inverse_depth(depth, stride)
        small = of_cells(camera, stride)
        around = _windows(inverse)
        depth = 1 / _mean_of_cluster(around)
        nearest = torch.nan_to_num(around, nan=0.0).amax(dim=-1)
        farthest = torch.nan_to_num(around, nan=torch.inf).amin(dim=-1)
        points = unproject(torch.where(inverse.isnan(), torch.nan, depth), small)
        normals = normals_from_points(points)
        smooth = normals.isfinite().all(dim=-1) & (nearest < _JUMP * farthest)
        points, normals = (torch.where(smooth[..., None], each, 0.0) for each in (points, normals))
        return cls(small, points, normals, smooth)

    def smooth_at(self, camera: Camera) -> Tensor:
        """Return whether the surface is smooth [h, w] at the pixels of a camera that sees the same in another size."""
        height, width = self.camera.size
        # Both grids begin in the same corner, and the end of either may be cut.
        rows = ((torch.arange(camera.height) + 0.5) * (self.camera.fy / camera.fy)).long()
        columns = ((torch.arange(camera.width) + 0.5) * (self.camera.fx / camera.fx)).long()
        inside = (rows < height)[:, None] & (columns < width)
        return self.smooth[rows.clamp(max=height - 1)][:, columns.clamp(max=width - 1)] & inside

    def under(self, points: Tensor, reach: float = torch.inf) -> tuple[Tensor, Tensor]:
        """Return (cell [N] of the flattened grid in which points [N, 3] fall, [N] bool: its surface is smooth).

        :param reach: only where depths differ by less than this share.
        """
        height, width = self.camera.size
        pixels, z = project(points, self.camera)
        u, v = torch.nan_to_num(pixels, nan=-1.0).floor().unbind(dim=-1)
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        cell = (v.clamp(0, height - 1) * width + u.clamp(0, width - 1)).long()
        smooth = inside & self.smooth.view(-1)[cell]
        if math.isfinite(reach):
            smooth &= (z / self.points.view(-1, 3)[cell, 2] - 1).abs() < reach
        return cell, smooth


@dataclass(frozen=True, eq=False)
class Brightness:
    """Brightness of a picture on a grid of h x w cells.

    :param camera: its camera, with cells as pixels.
    :param values: [3, h, w] float64: brightness in levels of 255, and its derivatives to the right and down per cell.
    :param known: [h, w] bool: the cell and its neighbours have colour.
    """

    camera: Camera
    values: Tensor
    known: Tensor

    @classmethod
    def of(cls, image: Tensor, seen: Tensor, camera: Camera, stride: int) -> Brightness:
        """Return the brightness of an image [H, W, 3] uint8 where it is seen [H, W], in cells of ``stride`` pixels."""
        luma = image.to(torch.float64) @ torch.tensor(_LUMA, dtype=torch.float64)
        cells = _cells(torch.where(seen, luma, torch.nan), stride).mean(dim=-1)
        around = F.pad(cells[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        right = (around[1:-1, 2:] - around[1:-1, :-2]) / 2
        down = (around[2:, 1:-1] - around[:-2, 1:-1]) / 2
        values = torch.stack([cells, right, down])
        known = values.isfinite().all(dim=0)
        return cls(of_cells(camera, stride), torch.where(known, values, 0.0), known)

    def at(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return (values [N, 3] at pixels [N, 2] as u, v, interpolated, [N] bool: all cells around are known)."""
        height, width = self.camera.size
        u, v = pixels.unbind(dim=-1)
        inside = (u >= 0.5) & (v >= 0.5) & (u < width - 0.5) & (v < height - 0.5)
        left, above = (torch.where(inside, each - 0.5, 0.0) for each in (u, v))
        column, row = left.floor(), above.floor()
        right, down = (left - column)[:, None], (above - row)[:, None]
        corner = (row * width + column).long()
        values, known = self.values.view(3, -1).mT, self.known.view(-1)
        a, b, c, d = (corner + step for step in (0, 1, width, width + 1))
        upper = torch.lerp(values[a], values[b], right)
        lower = torch.lerp(values[c], values[d], right)
        return torch.lerp(upper, lower, down), inside & known[a] & known[b] & known[c] & known[d]


def of_cells(camera: Camera, stride: int) -> Camera:
    """Return the camera whose pixels are cells of ``stride`` x ``stride`` pixels; what is over at the edges is cut."""
    K = camera.K.clone()
    K[:2] /= stride
    return Camera(K, camera.width // stride, camera.height // stride)


def mean_depth(depth: Tensor, stride: int) -> Tensor:
    """Return z-depth [h, w] float64 of cells: the mean (of inverse depth) of what most of a cell shows; NaN unknown."""
    return 1 / _mean_inverse_depth(depth, stride)


def _mean_inverse_depth(depth: Tensor, stride: int) -> Tensor:
    inverse = 1 / depth.to(torch.float64)
    return _mean_of_cluster(_cells(torch.where((inverse > 0) & inverse.isfinite(), inverse, torch.nan), stride))


def _mean_of_cluster(values: Tensor) -> Tensor:
    """Return the mean of [..., n] over what lies near the median; means across edges would be surfaces in the air."""
    if values.shape[-1] == 1:
        return values[..., 0]
    median = values.nanmedian(dim=-1, keepdim=True).values
    return torch.where((values / median - 1).abs() < _SAME_SURFACE, values, torch.nan).nanmean(dim=-1)


def _cells(values: Tensor, stride: int) -> Tensor:
    """Return [H, W] as [h, w, stride * stride]."""
    h, w = values.shape[0] // stride, values.shape[1] // stride
    cut = values[: h * stride, : w * stride].reshape(h, stride, w, stride)
    return cut.transpose(1, 2).reshape(h, w, stride * stride)


def _windows(values: Tensor) -> Tensor:
    """Return each cell [h, w] with its neighbours: [h, w, 9]; NaN beyond the border."""
    h, w = values.shape
    padded = F.pad(values, (1, 1, 1, 1), value=torch.nan)
    return torch.stack([padded[i : i + h, j : j + w] for i in range(3) for j in range(3)], dim=-1)
