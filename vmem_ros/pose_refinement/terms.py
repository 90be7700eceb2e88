"""The two things that an alignment makes small: distances from surfaces, and differences of brightness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vmem_ros.geometry import Camera, project, transform, unproject
from vmem_ros.pointmaps.robust import WIDTH, geman_mcclure, spread
from vmem_ros.pose_refinement.estimate import Estimate
from vmem_ros.pose_refinement.pictures import Brightness, Surface

# Surfaces are the same only if their normals are within 45 degrees.
_SAME_NORMAL = 0.7
# Depth sensors err more where it is far: as much again as close by, at this depth (between constant and squared).
_FAR_M = 2.0
# Residuals are alike over an eighth of the picture each way: so many independent measurements has a full view.
_INDEPENDENT = 64
# Spreads are never believed to be smaller: metres at close range, and levels of 255.
_LEAST_M, _LEAST_LEVELS = 5e-4, 1.0
# Blocks along each side: every other one, as on a chess board, has no part in the solution and judges it.
_BLOCKS = 16
#: Blocks are numbered below this.
BLOCKS = _BLOCKS**2


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of the frame that one term looks at.

    :param points: [N, 3] float64 in the frame's optical frame.
    :param own: [N, 3] what the frame has there: a normal; or brightness and its derivatives to the right and down.
    :param block: [N] int64: the block in which each lies.
    :param share: of the picture that one cell stands for.
    """

    points: Tensor
    own: Tensor
    block: Tensor
    share: float

    def __len__(self) -> int:
        return len(self.points)


def _split(points: Tensor, own: Tensor, chosen: Tensor, share: float) -> tuple[Cells, Cells]:
    """Return the ``chosen`` [h, w] cells of a grid that have a part in the solution, and those that judge it."""
    row, column = chosen.nonzero().unbind(dim=-1)
    i, j = row * _BLOCKS // chosen.shape[0], column * _BLOCKS // chosen.shape[1]
    points, own, judges = points[row, column], own[row, column], (i + j) % 2 == 1
    solving, judging = (Cells(points[s], own[s], (i * _BLOCKS + j)[s], share) for s in (~judges, judges))
    return solving, judging


@dataclass(frozen=True, eq=False)
class Rows:
    """Residuals of one term at an estimate, and how they change.

    :param residual: [N] float64; NaN where there is none.
    :param points: [N, 3] moved by the estimate.
    :param by_model: [N, 3] derivatives by the moved point, by the model's normals or gradients ...
    :param by_frame: ... and by the frame's. Anything but NaN where there is no residual.
    :param by_others: [N, 3] derivatives by gain, offset and what the model is nearer.
    :param share: of the picture that one row stands for.
    :param least: spreads below are not believed.
    """

    residual: Tensor
    points: Tensor
    by_model: Tensor
    by_frame: Tensor
    by_others: Tensor
    share: float
    least: float

    @property
    def spread(self) -> Tensor:
        """[1] standard deviation of the residuals, of which half may be wrong."""
        known = self.residual[self.residual.isfinite()]
        return (spread(known) if len(known) else known.new_zeros(1)).clamp(min=self.least)

    @property
    def weight(self) -> Tensor:
        """[N] robust weight over the squared spread, and over how many rows say the same thing."""
        return geman_mcclure(self.residual, self.spread) * (_INDEPENDENT * self.share) / self.spread.square()

    def loss(self, spread: Tensor) -> Tensor:
        """Return the robust loss [N] of each residual, 0 at zero and 1 far out; NaN where there is none.

        Source: Geman and McClure (1987).
        """
        squared = (self.residual / (WIDTH * spread)).square()
        return squared / (1 + squared)

    def jacobian(self, by_point: Tensor, lever_m: float) -> Tensor:
        """Return the derivatives [N, 9] by the unknowns, from those by the moved point."""
        turning = torch.linalg.cross(self.points, by_point) / lever_m
        return torch.cat([by_point, turning, self.by_others], dim=-1)


class SurfaceTerm:
    """Distances of the frame's points from the planes that they meet in the model."""

    def __init__(self, frame: Surface, model: Surface) -> None:
        self.model = model
        self.solving, self.judging = _split(frame.points, frame.normals, frame.smooth, 1 / frame.smooth.numel())

    def rows(self, estimate: Estimate, cells: Cells, reach: float) -> Rows:
        """Return the residuals in metres, over how much more sensors err there than close by.

        :param reach: surfaces are the same if their depths differ by a smaller share.
        """
        points, own = transform(estimate.T, cells.points), cells.own @ estimate.T[:3, :3].mT
        cell, same = self.model.under(points, reach)
        there, normals = self.model.points.view(-1, 3)[cell], self.model.normals.view(-1, 3)[cell]
        same &= (normals * own).sum(dim=-1) > _SAME_NORMAL
        noise = (1 + (points[:, 2:] / _FAR_M).square()) / 2
        along_ray = (normals * points).sum(dim=-1) / points[:, 2]
        distance = (normals * (points - there)).sum(dim=-1) / noise[:, 0] - along_ray * estimate.nearer_m
        residual = torch.where(same, distance, torch.nan)
        none = torch.zeros_like(residual)
        others = torch.stack([none, none, -along_ray], dim=-1)
        return Rows(residual, points, normals / noise, own / noise, others, cells.share, _LEAST_M)


class BrightnessTerm:
    """Differences of brightness where the frame's points fall in the model, at one size of the pictures.

    Of every few cells it looks at the one whose brightness changes most: the others know less of motion.
    """

    def __init__(self, frame: Brightness, depth: Tensor, surface: Surface, model: Brightness, behind: Surface) -> None:
        """Prepare.

        :param depth: [h, w] of the frame's cells, NaN unknown.
        :param surface: of the frame: cells near its edges do not count.
        :param behind: the model's, on which the frame's points must lie.
        """
        self._model, self._behind = model, behind
        usable = frame.known & surface.smooth_at(frame.camera) & depth.isfinite()
        few = max(1, round(frame.camera.width / surface.camera.width))
        # An edge that crosses a square of so many cells crosses that many of them.
        share = few / depth.numel()
        self.solving, self.judging = _split(
            unproject(depth, frame.camera), frame.values.permute(1, 2, 0), _steepest(frame, usable, few), share
        )

    def rows(self, estimate: Estimate, cells: Cells, reach: float) -> Rows:
        """Return the residuals in levels of 255; see :meth:`SurfaceTerm.rows`."""
        points = transform(estimate.T, cells.points)
        _, same = self._behind.under(points, reach)
        there, known = self._model.at(project(points, self._model.camera)[0])
        own = cells.own * estimate.gain
        residual = torch.where(same & known, there[:, 0] - own[:, 0] - estimate.offset, torch.nan)
        one = torch.ones_like(residual)
        others = torch.stack([-cells.own[:, 0], -one, 0 * one], dim=-1)
        by_model, by_frame = (_in_space(self._model.camera, points, each[:, 1:]) for each in (there, own))
        return Rows(residual, points, by_model, by_frame, others, cells.share, _LEAST_LEVELS)


def _steepest(picture: Brightness, usable: Tensor, few: int) -> Tensor:
    """Return [h, w] bool: the cells whose brightness changes most among ``few`` x ``few``, of the usable [h, w]."""
    slope = torch.where(usable, picture.values[1:].square().sum(dim=0), -1.0)[None]
    _, where = F.max_pool2d(slope, few, ceil_mode=True, return_indices=True)
    chosen = torch.zeros(usable.numel(), dtype=torch.bool)
    chosen[where.flatten()] = True
    return chosen.view_as(usable) & usable


def _in_space(camera: Camera, points: Tensor, gradient: Tensor) -> Tensor:
    """Return the derivatives [N, 3] by a point of brightness whose gradient [N, 2] in the picture is known."""
    K, z = camera.K, points[:, 2]
    x = K[0, 0] * gradient[:, 0] / z
    y = (K[0, 1] * gradient[:, 0] + K[1, 1] * gradient[:, 1]) / z
    return torch.stack([x, y, -(x * points[:, 0] + y * points[:, 1]) / z], dim=-1)
