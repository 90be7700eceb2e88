"""What a robot has seen of a house: surfaces, by which rules are judged, and floor, by which some of them decide."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from vmem_ros.geometry import Camera, unproject
from vmem_ros.scenes.freespace import CELL_M as FLOOR_CELL_M
from vmem_ros.scenes.freespace import FreeSpace
from vmem_ros.types import View

#: Depth cameras of robots see so far.
RANGE_M = 5.0
#: Edge of the cells in which surfaces are counted: one that was hit counts as its square.
CELL_M = 0.1
# Rays whose way over the floor is followed, and how densely.
_RAY_STRIDE, _RAY_STEP_M = 4, 0.04
# Frontiers of fewer cells are gaps between rays.
_LEAST_FRONTIER = 4


class SeenSpace:
    """Grows with each view.

    :param reachable: [rows, columns] cells of the floor where the robot can stand.
    """

    def __init__(self, free: FreeSpace, reachable: NDArray[np.bool_]) -> None:
        self._reachable = reachable
        self._known = np.zeros(free.shape, bool)
        self._surface = np.empty(0, np.int64)

    @property
    def area_m2(self) -> float:
        """Surface that was seen."""
        return len(self._surface) * CELL_M**2

    def add(self, view: View) -> None:
        """Take in what a depth camera saw."""
        assert view.depth is not None, "a depth camera measures depth"
        points = _points(view.depth, view.camera, view.T_world_camera, view.depth <= RANGE_M)
        self._surface = np.union1d(self._surface, _cells(points))
        self._follow_rays(view)

    def new_area_m2(self, views: list[tuple[View, Tensor]]) -> float:
        """Return how much surface some views would add.

        :param views: each with depth, and [H, W] bool: the pixels that count.
        """
        cells = [np.empty(0, np.int64)]
        for view, counted in views:
            if view.depth is not None:
                counted = counted & (view.depth <= RANGE_M)
                cells.append(_cells(_points(view.depth, view.camera, view.T_world_camera, counted)))
        return len(np.setdiff1d(np.concatenate(cells), self._surface)) * CELL_M**2

    def frontiers(self) -> list[tuple[NDArray[np.float64], float]]:
        """Return where known floor meets unknown: a cell of each border, [2] in metres, and where the unknown lies.

        The direction is an angle in radians from the world's x axis.
        """
        unknown = self._reachable & ~self._known
        border = self._reachable & self._known & ndimage.binary_dilation(unknown, np.ones((3, 3)))
        labels, count = ndimage.label(border, np.ones((3, 3)))
        out = []
        for number in range(1, count + 1):
            rows, columns = np.nonzero(labels == number)
            if len(rows) < _LEAST_FRONTIER:
                continue
            cells = np.stack([columns, rows], axis=1)
            at = cells[np.linalg.norm(cells - cells.mean(axis=0), axis=1).argmin()]
            near = ndimage.binary_dilation(labels == number, np.ones((3, 3)), iterations=3) & unknown
            beyond = np.stack(np.nonzero(near)[::-1], axis=1).mean(axis=0) - cells.mean(axis=0)
            out.append(((at + 0.5) * FLOOR_CELL_M, float(np.arctan2(beyond[1], beyond[0]))))
        return out

    def _follow_rays(self, view: View) -> None:
        """Mark the floor below rays as known."""
        assert view.depth is not None, "as above"
        stride = slice(None, None, _RAY_STRIDE)
        depth = torch.nan_to_num(view.depth, nan=0.0).clamp(max=RANGE_M)
        ends = _points(depth, view.camera, view.T_world_camera, torch.ones_like(depth, dtype=torch.bool))
        ends = ends.reshape(*depth.shape, 3)[stride, stride].reshape(-1, 3)[:, :2]
        eye = view.T_world_camera[:2, 3].numpy()
        share = np.linspace(0, 1, int(2 * RANGE_M / _RAY_STEP_M))[:, None, None]
        column, row = np.moveaxis(((eye + share * (ends - eye)) / FLOOR_CELL_M).astype(int), -1, 0)
        rows, columns = self._known.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        self._known[row[inside], column[inside]] = True


def _points(depth: Tensor, camera: Camera, T_world_camera: Tensor, mask: Tensor) -> NDArray[np.float64]:
    """Return the points [n, 3] of some pixels in the world."""
    points = unproject(torch.where(mask, depth, 0.0), camera)[mask].double()
    return (points @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]).numpy()


def _cells(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the numbers of the cells that points [n, 3] lie in, each once."""
    x, y, z = np.floor(points / CELL_M).astype(np.int64).T + 1024
    return np.unique((x * 4096 + y) * 4096 + z)
