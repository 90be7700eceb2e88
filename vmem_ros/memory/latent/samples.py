"""Samples of the surfaces that views saw: where something is, how large it is to be drawn, and its colour.

They are far apart, a few pixels of the view that saw them: they say where to look into the stored views.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vmem_ros.geometry.lifting import nearest_pixels
from vmem_ros.geometry.normals import SAME_SURFACE
from vmem_ros.memory.bounds import BlockBounds, Bounds
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.latent.cells import level_of
from vmem_ros.types import PointMap

# Rows and columns of a patch of samples: a patch is a block.
_PATCH = (4, 8)
# A surface is steep if neighbours are so many times farther apart than side by side; its samples are so much finer.
_STEEP, _FINER = 2.0, 2


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples.

    :param position: [N, 3] float32 in metres.
    :param size: [N] float32: how far apart they are.
    :param level: [N] int64, see :func:`~vmem_ros.memory.latent.cells.level_of`.
    :param color: [N, 3] uint8.
    :param observed: [N] bool: a camera saw it; otherwise it was imagined.
    """

    position: Tensor
    size: Tensor
    level: Tensor
    color: Tensor
    observed: Tensor

    def __len__(self) -> int:
        return len(self.position)

    def select(self, index: Tensor) -> Samples:
        """Return the samples numbered ``index`` [n] int64."""
        return Samples(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))


def sample(point_map: PointMap, image: Tensor, known: Tensor, T: Tensor, *, stride: float, observed: bool) -> Samples:
    """Return samples of a view, one every ``stride`` pixels where something is known; they lie together in blocks.

    A surface that runs away from the camera is sampled more often, for from elsewhere it looks larger.

    :param image: [H, W, 3] uint8.
    :param known: [H, W] bool: pixels that may be sampled.
    :param T: [4, 4] pose of the camera in the frame of the samples.
    """
    camera = point_map.camera
    rows, columns = (max(1, round(side / stride)) for side in camera.size)
    pixel, fine = (nearest_pixels(known, rows * finer, columns * finer) for finer in (1, _FINER))
    points = point_map.points.reshape(-1, 3)[pixel.clamp(min=0)]
    points = torch.where((pixel >= 0)[..., None], points, torch.nan)
    focal = (columns / camera.width * camera.fx * rows / camera.height * camera.fy) ** 0.5
    steep = _to_neighbours(points) > _STEEP / focal * points[..., 2]
    steep = steep.repeat_interleave(_FINER, dim=0).repeat_interleave(_FINER, dim=1)
    coarse = torch.full_like(fine, -1)
    coarse[::_FINER, ::_FINER] = pixel
    pixel = torch.where(steep, fine, coarse)
    order = _in_patches(*pixel.shape).to(pixel.device)
    pixel = pixel.flatten()[order]
    pixel = pixel[pixel >= 0]
    points = point_map.points.reshape(-1, 3)[pixel]
    size = points[:, 2] / focal
    position = (points.double() @ T[:3, :3].T.to(points.device) + T[:3, 3].to(points.device)).float()
    return Samples(
        position=position,
        size=size,
        level=level_of(size, position),
        color=image.reshape(-1, 3)[pixel],
        observed=torch.full_like(pixel, observed, dtype=torch.bool),
    )


def _to_neighbours(points: Tensor) -> Tensor:
    """Return how far the farthest of the four neighbours on the same surface is: [R, C], 0 without any."""
    farthest = torch.zeros_like(points[..., 2])
    for axis in (0, 1):
        n = points.shape[axis] - 1
        if n < 1:
            continue
        a, b = points.narrow(axis, 0, n), points.narrow(axis, 1, n)
        ratio = a[..., 2] / b[..., 2]
        together = (ratio < SAME_SURFACE) & (ratio > 1 / SAME_SURFACE)
        distance = torch.where(together, torch.linalg.vector_norm(a - b, dim=-1), 0.0)
        for start in (0, 1):
            side = farthest.narrow(axis, start, n)
            side.copy_(torch.maximum(side, distance))
    return farthest


def _in_patches(rows: int, columns: int) -> Tensor:
    """Return the numbers of the cells of a grid, patch by patch: [rows * columns] int64."""
    (height, width), v, u = _PATCH, torch.arange(rows)[:, None], torch.arange(columns)
    patch = (v // height) * (columns // width + 1) + u // width
    return torch.argsort(((patch * height + v % height) * width + u % width).flatten(), stable=True)


class SampleStore:
    """Growing :class:`Samples`, with the voxel of each and bounds of blocks; they never change."""

    def __init__(self, device: torch.device) -> None:
        kinds = {"position": ((3,), torch.float32), "size": ((), torch.float32), "level": ((), torch.int64)}
        kinds |= {"color": ((3,), torch.uint8), "observed": ((), torch.bool)}
        self._columns = {name: GrowableTensor(shape, dtype, device) for name, (shape, dtype) in kinds.items()}
        self._voxel = GrowableTensor((), torch.int32, device)
        self._bounds = BlockBounds(device)

    def __len__(self) -> int:
        # The column that is appended last: an addition that failed half-way does not count.
        return len(self._voxel)

    @property
    def samples(self) -> Samples:
        """All samples; a view on the storage, valid until the next change."""
        return Samples(**{name: column.data[: len(self)] for name, column in self._columns.items()})

    @property
    def position(self) -> Tensor:
        """[N, 3] float32."""
        return self._columns["position"].data

    @property
    def color(self) -> Tensor:
        """[N, 3] uint8."""
        return self._columns["color"].data

    @property
    def voxel(self) -> Tensor:
        """[N] int32: the voxel of each sample."""
        return self._voxel.data

    @property
    def blocks(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions [B, BLOCK, 3], sizes and observed [B, BLOCK], in blocks that lie together."""
        position, size, observed = (self._columns[name].blocks for name in ("position", "size", "observed"))
        return position, size, observed

    @property
    def bounds(self) -> BlockBounds:
        """Bounds of the blocks."""
        return self._bounds

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._bounds.nbytes + sum(column.nbytes for column in (*self._columns.values(), self._voxel))

    def append(self, samples: Samples, voxel: Tensor) -> None:
        """Append samples that lie in voxels [n]."""
        start = len(self)
        for name, column in self._columns.items():
            column.append(getattr(samples, name))
        self._voxel.append(voxel.int())
        self._bounds.follow(self._spheres, len(self), start)

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` samples."""
        for column in (*self._columns.values(), self._voxel):
            column.truncate(length)
        self._bounds.follow(self._spheres, length, length)

    def _spheres(self, index: Tensor) -> Bounds:
        size = self._columns["size"].data.index_select(0, index)
        return Bounds(self.position.index_select(0, index), torch.zeros_like(size), size)
