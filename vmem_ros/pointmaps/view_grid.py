"""Views of a chunk on one small grid, and how the surface of one looks to another.

Depth is kept as inverse depth: over a plane it is linear in the image, so the value between two samples follows from
one sample and its slope exactly, however oblique the plane is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from vmem_ros.geometry import Camera, invert, pixel_rays
from vmem_ros.pointmaps.prediction import DepthPrediction
from vmem_ros.types import Projection


@dataclass(frozen=True, eq=False)
class ViewGrid:
    """M views of any sizes, S = R x C samples of each, float64.

    :param inverse: [M, S] predicted inverse depth; NaN where nothing is predicted, or nothing is there.
    :param weight: [M, S] how much each prediction counts: 1 for the median deviation of the view, at most 2.
    :param remembered: [M, S] log of the depth that memory shows; NaN where it shows nothing.
    :param trust: [M, S] confidence of memory there.
    :param rays: [M, S, 3] directions with z = 1, optical frame.
    :param place: [M, S, 2] where the samples lie, in cells of the grid.
    :param slope: [M, S, 2] change of ``inverse`` per cell.
    :param K: [M, 3, 3] intrinsics in cells.
    """

    shape: tuple[int, int]
    inverse: Tensor
    weight: Tensor
    remembered: Tensor
    trust: Tensor
    rays: Tensor
    place: Tensor
    slope: Tensor
    K: Tensor

    @classmethod
    def of(
        cls,
        predictions: Sequence[DepthPrediction],
        projections: Sequence[Projection],
        cameras: Sequence[Camera],
        *,
        side: int,
    ) -> ViewGrid:
        """Sample every view at the pixels nearest to the centres of at most ``side`` x ``side`` cells."""
        shape = (min(side, *(c.height for c in cameras)), min(side, *(c.width for c in cameras)))
        samples = [
            _sample(prediction, projection, camera, shape)
            for prediction, projection, camera in zip(predictions, projections, cameras, strict=True)
        ]
        maps = {name: torch.stack([each[name] for each in samples]) for name in samples[0]}
        inverse, place = maps["inverse"], maps["place"]
        maps["slope"] = torch.stack([_slope(inverse, place[..., axis], 2 - axis) for axis in (0, 1)], dim=-1)
        K = torch.stack([camera.resized(shape[1], shape[0]).K for camera in cameras]).to(inverse.device)
        return cls(shape=shape, K=K, **{name: values.flatten(1, 2) for name, values in maps.items()})


@dataclass(frozen=True, eq=False)
class Meeting:
    """Where the samples of views i fall in views j: P pairs (i, j), S samples each.

    :param valid: [P, S] bool: in front of view j, inside its picture, on a sample that has depth.
    :param log_depth: [P, S] log of the z-depth in view j.
    :param inverse: [P, S] what view j predicts there, as inverse depth.
    :param weight: [P, S] how much that prediction counts.
    """

    valid: Tensor
    log_depth: Tensor
    inverse: Tensor
    weight: Tensor


class Pairs:
    """All ordered pairs of views (i, j), i != j.

    :param T_world_camera: [M, 4, 4] float64.
    """

    def __init__(self, grid: ViewGrid, T_world_camera: Tensor) -> None:
        count = len(T_world_camera)
        first, second = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
        apart = first != second
        device = grid.inverse.device
        self.first, self.second = first[apart].to(device), second[apart].to(device)
        # Relative poses are made where positions far from the origin lose nothing.
        T = (invert(T_world_camera)[second[apart]] @ T_world_camera[first[apart]]).to(device)
        self._rays = T[:, :3, :3] @ grid.rays[self.first].mT
        self._offset = T[:, :3, 3]
        self._K = grid.K[self.second]
        self._grid = grid

    def __len__(self) -> int:
        return len(self.first)

    def meet(self, depth: Tensor) -> Meeting:
        """Return where the samples fall when the views have z-depth [M, S]."""
        grid, (rows, columns) = self._grid, self._grid.shape
        x, y, z = (self._rays * depth[self.first][:, None] + self._offset[:, :, None]).unbind(1)
        fx, skew, cx = (self._K[:, 0, k, None] for k in range(3))
        fy, cy = self._K[:, 1, 1, None], self._K[:, 1, 2, None]
        u, v = (fx * x + skew * y) / z + cx, fy * y / z + cy
        inside = (z > 0) & (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
        cell = torch.where(inside, v.floor() * columns + u.floor(), 0).long()
        flat = cell + self.second[:, None] * (rows * columns)

        def at(values: Tensor) -> Tensor:
            return values.flatten().take(flat)

        slope_u, slope_v = (at(grid.slope[..., axis]) for axis in (0, 1))
        place_u, place_v = (at(grid.place[..., axis]) for axis in (0, 1))
        inverse = at(grid.inverse) + slope_u * (u - place_u) + slope_v * (v - place_v)
        return Meeting(
            valid=inside & (inverse > 0),
            log_depth=z.log(),
            inverse=inverse,
            weight=at(grid.weight),
        )


def _sample(
    prediction: DepthPrediction, projection: Projection, camera: Camera, shape: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the fields of one view [R, C, ...] float64, without slopes."""
    device = prediction.depth.device
    v, u = (
        ((torch.arange(n, device=device) + 0.5) * (size / n)).long() for n, size in zip(shape, camera.size, strict=True)
    )

    def pick(values: Tensor) -> Tensor:
        return values.to(device)[v][:, u].double()

    depth, deviation = pick(prediction.depth), pick(prediction.deviation)
    inverse = torch.where(torch.isfinite(depth), 1 / depth, torch.nan)
    # Deviations count among themselves only: how well a view agrees with others is measured.
    relative = deviation / deviation.nanmedian().clamp(min=1e-6)
    known = projection.seen.to(device) & torch.isfinite(projection.depth.to(device))
    remembered = torch.where(known, projection.depth.to(device), torch.nan)
    row, column = ((at + 0.5) * (n / size) for at, n, size in zip((v, u), shape, camera.size, strict=True))
    place = torch.stack(torch.meshgrid(column, row, indexing="xy"), dim=-1).double()
    return {
        "inverse": inverse,
        "weight": torch.nan_to_num(2 / (1 + relative.square()), nan=0.0),
        "remembered": pick(remembered).log(),
        "trust": pick(projection.confidence),
        "rays": pick(pixel_rays(camera, dtype=torch.float64, device=device)),
        "place": place,
    }


def _slope(values: Tensor, place: Tensor, dim: int) -> Tensor:
    """Return the smaller of the two one-sided slopes at each sample: edges have none to one side. [M, R, C]."""
    step = values.diff(dim=dim) / place.diff(dim=dim)
    end = (0, 0) * (values.ndim - 1 - dim)
    before, after = pad(step, (*end, 1, 0), value=torch.nan), pad(step, (*end, 0, 1), value=torch.nan)
    smaller = torch.where((before.abs() <= after.abs()) | after.isnan(), before, after)
    return torch.nan_to_num(smaller, nan=0.0)
