"""Where a camera or a robot may be: distances to solids, a clearance grid in plan, and shortest safe paths on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from vmem_ros.scenes.layout import WALL_HEIGHT, FloorPlan
from vmem_ros.scenes.solids import Solid

Array = NDArray[np.float64]
CELL_M = 0.08
#: A robot passes over what is lower (rugs, thresholds) and under what is higher (lamps, shelves).
STEP_M, HEADROOM_M = 0.05, 1.8


def distance_to_solids(points: Array, solids: Sequence[Solid]) -> Array:
    """Return the distance [N] from points [N, 3] to the nearest solid, negative inside.

    Exact for boxes outside; for curved solids a lower bound (that of a sphere scaled to the solid's thinnest side).
    """
    centre = np.array([s.centre for s in solids])
    half = np.array([s.half for s in solids])
    yaw = np.array([s.yaw for s in solids])
    bend = np.array([{"box": -1.0, "cylinder": 0.0, "ellipsoid": 1.0}[s.shape] for s in solids])
    c, s = np.cos(yaw), np.sin(yaw)
    out = np.empty(len(points))
    for start in range(0, len(points), 1024):
        d = points[start : start + 1024, None] - centre
        local = np.stack([d[..., 0] * c + d[..., 1] * s, d[..., 1] * c - d[..., 0] * s, d[..., 2]], axis=-1)
        q = np.abs(local) - half
        box = np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(axis=-1), 0)
        scaled = local / half
        radial = np.sqrt((scaled[..., :2] ** 2).sum(axis=-1) + np.maximum(bend, 0) * scaled[..., 2] ** 2)
        thin = np.where(bend > 0, half.min(axis=-1), half[:, :2].min(axis=-1))
        curved = np.maximum((radial - 1) * thin, np.where(bend > 0, -np.inf, q[..., 2]))
        out[start : start + 1024] = np.where(bend < 0, box, curved).min(axis=1)
    return out


class FreeSpace:
    """The floor that a robot can use, as a grid of clearances.

    :param clearance: [rows, columns] metres to the nearest obstacle in plan, for cells of :data:`CELL_M`; row = y.
    """

    def __init__(self, plan: FloorPlan, solids: Sequence[Solid]) -> None:
        width, depth = plan.size
        self.shape = (int(np.ceil(depth / CELL_M)), int(np.ceil(width / CELL_M)))
        y, x = np.meshgrid(*((np.arange(n) + 0.5) * CELL_M for n in self.shape), indexing="ij")
        blocked = np.ones(self.shape, bool)
        for room in plan.rooms:
            x0, y0, x1, y1 = room.bounds
            blocked &= ~((x > x0) & (x < x1) & (y > y0) & (y < y1))
        for door in plan.doors:
            (a, b), reach = door.along, 0.1
            u, v = (x, y) if door.axis == "x" else (y, x)
            blocked &= ~((u > a) & (u < b) & (np.abs(v - door.at) < reach + CELL_M))
        for solid in solids:
            if solid.high > STEP_M and solid.low < HEADROOM_M:
                blocked |= _covers(solid, x, y)
        distance = ndimage.distance_transform_edt(np.pad(~blocked, 1))[1:-1, 1:-1]
        # From cell centre to the edge of the nearest blocked cell, at the worst.
        self.clearance: Array = np.maximum((distance - 0.5) * CELL_M, 0.0)

    def at(self, points: Array) -> Array:
        """Return the clearance [N] at points [N, 2 or more], zero outside the house."""
        row, column = (np.floor(points[:, k] / CELL_M).astype(int) for k in (1, 0))
        inside = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        out = np.zeros(len(points))
        out[inside] = self.clearance[row[inside], column[inside]]
        return out

    def reachable(self, radius: float) -> NDArray[np.bool_]:
        """Return the cells of the largest connected area with at least this clearance."""
        labels, count = ndimage.label(self.clearance >= radius)
        if count == 0:
            return np.zeros(self.shape, bool)
        sizes = np.bincount(labels.ravel())[1:]
        return np.asarray(labels == 1 + int(sizes.argmax()))

    def centres(self, cells: NDArray[np.bool_]) -> Array:
        """Return the middles [N, 2] of marked cells, x and y in metres."""
        row, column = np.nonzero(cells)
        return np.stack([(column + 0.5) * CELL_M, (row + 0.5) * CELL_M], axis=1)

    def path(self, start: Array, goal: Array, *, radius: float) -> Array:
        """Return cell middles [N, 2] from start to goal with at least ``radius`` clearance, keeping away from walls.

        :raises ValueError: there is no such way.
        """
        free = self.clearance >= radius
        nodes = np.flatnonzero(free)
        number = np.full(free.size, -1)
        number[nodes] = np.arange(len(nodes))
        number = number.reshape(self.shape)
        # A metre beside a wall costs four times a metre in the open.
        price = 1 + 3 * np.clip(1 - (self.clearance - radius) / 0.6, 0, 1)
        tails, heads, costs = [], [], []
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = number[: self.shape[0] - dr, max(0, -dc) : self.shape[1] - max(0, dc)]
            b = number[dr:, max(0, dc) : self.shape[1] + min(0, dc)]
            pa = price[: self.shape[0] - dr, max(0, -dc) : self.shape[1] - max(0, dc)]
            pb = price[dr:, max(0, dc) : self.shape[1] + min(0, dc)]
            both = (a >= 0) & (b >= 0)
            tails.append(a[both])
            heads.append(b[both])
            costs.append((pa[both] + pb[both]) / 2 * np.hypot(dr, dc))
        graph = coo_matrix(
            (np.concatenate(costs), (np.concatenate(tails), np.concatenate(heads))), shape=(len(nodes), len(nodes))
        ).tocsr()
        first, last = self._node(start, number), self._node(goal, number)
        _, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
        way = [last]
        while way[-1] != first:
            way.append(int(before[way[-1]]))
            if way[-1] < 0:
                raise ValueError(f"no way with {radius:g} m clearance from {start.tolist()} to {goal.tolist()}")
        cells = nodes[way[::-1]]
        return np.stack([(cells % self.shape[1] + 0.5) * CELL_M, (cells // self.shape[1] + 0.5) * CELL_M], axis=1)

    def _node(self, point: Array, number: NDArray[np.int64]) -> int:
        row, column = int(point[1] / CELL_M), int(point[0] / CELL_M)
        node = int(number[row, column]) if 0 <= row < self.shape[0] and 0 <= column < self.shape[1] else -1
        if node < 0:
            raise ValueError(f"{point.tolist()} is not in free space")
        return node


def inside_rooms(points: Array, plan: FloorPlan) -> NDArray[np.bool_]:
    """Return which points [N, 3] lie in a room or a doorway, between floor and ceiling."""
    x, y, z = points.T
    inside = np.zeros(len(points), bool)
    for room in plan.rooms:
        x0, y0, x1, y1 = room.bounds
        inside |= (x > x0) & (x < x1) & (y > y0) & (y < y1)
    for door in plan.doors:
        u, v = (x, y) if door.axis == "x" else (y, x)
        inside |= (u > door.along[0]) & (u < door.along[1]) & (np.abs(v - door.at) < 0.1) & (z < door.height)
    return np.asarray(inside & (z > 0) & (z < WALL_HEIGHT))


def _covers(solid: Solid, x: Array, y: Array) -> NDArray[np.bool_]:
    c, s = np.cos(solid.yaw), np.sin(solid.yaw)
    dx, dy = x - solid.centre[0], y - solid.centre[1]
    u, v = (dx * c + dy * s) / solid.half[0], (dy * c - dx * s) / solid.half[1]
    # Half a cell more, so that thin solids between cell middles are not missed.
    grow = 1 + 0.5 * CELL_M / min(solid.half[0], solid.half[1])
    if solid.shape == "box":
        a, b = 1 + 0.5 * CELL_M / solid.half[0], 1 + 0.5 * CELL_M / solid.half[1]
        return np.asarray((np.abs(u) < a) & (np.abs(v) < b))
    return np.asarray(u * u + v * v < grow * grow)
