"""Collision-free camera paths through a house: waypoints, safe ways between them, smooth headings, even steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from vmem_ros.scenes.freespace import CELL_M, Array, FreeSpace
from vmem_ros.scenes.layout import FloorPlan, Room

#: Clearance that every path keeps, metres.
CLEARANCE_M = 0.25
# Planned with more, so that smoothing has something to spend.
_ROUTE_CLEARANCE_M = CLEARANCE_M + CELL_M
_COMFORT_M = 0.8
_SAMPLE_M = 0.02
_SMOOTHING_M = 0.22
_HEADING_SMOOTHING_M = 0.4
# Turning by one radian counts as moving this far when steps are made even.
_METRES_PER_RADIAN = 1.2


def viewpoints(free: FreeSpace, room: Room, count: int) -> Array:
    """Return up to ``count`` reachable points [N, 2] of a room, far from each other and from obstacles."""
    points = free.centres(free.reachable(_ROUTE_CLEARANCE_M))
    x0, y0, x1, y1 = room.bounds
    points = points[(points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)]
    if len(points) == 0:
        raise ValueError(f"no free space with {_ROUTE_CLEARANCE_M:g} m clearance in {room.name}")
    comfort = np.minimum(free.at(points), _COMFORT_M)
    chosen = [int(np.argmax(free.at(points)))]
    while len(chosen) < count:
        apart = np.linalg.norm(points[:, None] - points[chosen], axis=-1).min(axis=1)
        best = int(np.argmax(apart * comfort))
        if apart[best] < 0.5:
            break
        chosen.append(best)
    return points[chosen]


def around(points: Array) -> Array:
    """Return points in the order of their angle about their middle, so that visiting them goes round."""
    offset = points - points.mean(axis=0)
    return points[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))]


def rooms_in_order(plan: FloorPlan, rooms: Sequence[int]) -> list[int]:
    """Return the wanted rooms in depth-first order of doors from the first, so that a drive seldom turns back."""
    order: list[int] = []
    stack = [rooms[0]]
    seen = {rooms[0]}
    while stack:
        room = stack.pop()
        if room in rooms:
            order.append(room)
        beyond = sorted({r for door in plan.doors_of(room) for r in door.rooms} - seen, reverse=True)
        seen.update(beyond)
        stack += beyond
    return order


def connect(free: FreeSpace, stops: Array, *, closed: bool) -> Array:
    """Return a smooth polyline [N, 2] with samples every two centimetres through (near) the stops.

    Smoothing that would come too close to something is halved until it does not.
    """
    legs = list(zip(stops, np.roll(stops, -1, axis=0) if closed else stops[1:], strict=False))
    raw = [free.path(a, b, radius=_ROUTE_CLEARANCE_M) for a, b in legs]
    line = np.concatenate([raw[0][:1]] + [leg[1:] for leg in raw])
    if closed:
        line = line[:-1] if np.allclose(line[0], line[-1]) else line
    line = _resampled(line, _SAMPLE_M, closed=closed)
    mode = "wrap" if closed else "nearest"
    sigma = _SMOOTHING_M / _SAMPLE_M
    while sigma > 1:
        smooth = ndimage.gaussian_filter1d(line, sigma, axis=0, mode=mode)
        if not closed:
            smooth[0], smooth[-1] = line[0], line[-1]
        if (free.at(smooth) >= CLEARANCE_M).all():
            return _resampled(smooth, _SAMPLE_M, closed=closed)
        sigma /= 2
    return line


def headings(free: FreeSpace, line: Array, *, closed: bool, sweep: float = 0.0, cycles: int = 1) -> Array:
    """Return unwrapped headings [N] in radians along a polyline.

    The direction of motion, turned towards where the view is open, as a driver looks into a bend and not at the wall
    beside it, then smoothed. ``sweep`` adds ``cycles`` looks to both sides of that many radians.
    """
    after = np.roll(line, -1, axis=0) if closed else np.concatenate([line[1:], line[-1:] * 2 - line[-2:-1]])
    step = after - line
    angle = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    sigma = _HEADING_SMOOTHING_M / _SAMPLE_M
    # Openness is judged along the smoothed direction, or it would follow every kink of the grid path.
    angle = _smoothed_angle(angle, sigma, closed=closed)
    angle = _smoothed_angle(angle + _glance(free, line, angle), 2 * sigma, closed=closed)
    if sweep:
        angle = angle + sweep * np.sin(2 * np.pi * cycles * np.arange(len(line)) / len(line))
    return angle


def _glance(free: FreeSpace, line: Array, angle: Array) -> Array:
    """Return the turns [N] towards the open, within 70 degrees of the direction of motion."""
    turns = np.radians(np.linspace(-70, 70, 15))
    reach = np.arange(0.2, 4.2, 0.1)
    direction = angle[:, None] + turns
    at = line[:, None, None] + reach[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1)[:, :, None]
    clear = free.at(at.reshape(-1, 2)).reshape(at.shape[:-1]) > 0
    distance = np.cumprod(clear, axis=-1).sum(axis=-1) * 0.1
    score = np.minimum(distance, 4.0) - 1.2 * np.abs(turns)
    weight = np.exp(4 * (score - score.max(axis=1, keepdims=True)))
    return np.asarray((weight * turns).sum(axis=1) / weight.sum(axis=1))


def _smoothed_angle(angle: Array, sigma: float, *, closed: bool) -> Array:
    """Return unwrapped angles smoothed over ``sigma`` samples; a closed path may turn by full circles."""
    if not closed:
        return np.asarray(ndimage.gaussian_filter1d(angle, sigma, mode="nearest"))
    last = np.unwrap([angle[-1], angle[0]])
    winding = angle[-1] - angle[0] + (last[1] - last[0])
    even = np.arange(len(angle)) / len(angle) * winding
    return np.asarray(ndimage.gaussian_filter1d(angle - even, sigma, mode="wrap") + even)


def even_steps(line: Array, angle: Array, n: int, *, closed: bool) -> tuple[Array, Array]:
    """Return ``n`` positions and headings whose steps, in metres plus weighted radians, are all alike.

    A closed path ends where it starts.
    """
    if closed:
        turn = np.round((angle[-1] - angle[0]) / (2 * np.pi)) * 2 * np.pi
        line, angle = np.concatenate([line, line[:1]]), np.append(angle, angle[0] + turn)
    cost = np.linalg.norm(np.diff(line, axis=0), axis=1) + _METRES_PER_RADIAN * np.abs(np.diff(angle))
    way = np.concatenate([[0.0], np.cumsum(cost)])
    at = np.linspace(0.0, way[-1], n)
    position = np.stack([np.interp(at, way, line[:, k]) for k in (0, 1)], axis=1)
    return position, np.interp(at, way, angle)


def limited(line: Array, angle: Array, n: int, *, step: float) -> tuple[Array, Array]:
    """Return the first ``n`` positions and headings at steps of ``step`` metres plus weighted radians."""
    cost = np.linalg.norm(np.diff(line, axis=0), axis=1) + _METRES_PER_RADIAN * np.abs(np.diff(angle))
    way = np.concatenate([[0.0], np.cumsum(cost)])
    at = np.arange(n) * step
    if at[-1] > way[-1]:
        raise ValueError(f"the path is {way[-1]:.2f} m long, too short for {n} steps of {step:g} m")
    position = np.stack([np.interp(at, way, line[:, k]) for k in (0, 1)], axis=1)
    return position, np.interp(at, way, angle)


def poses(position: Array, heading: Array, *, height: float, pitch: float) -> Tensor:
    """Return [N, 4, 4] float64 camera poses, level but for ``pitch`` (radians, positive looks up)."""
    n = len(position)
    forward = np.stack(
        [np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.full(n, np.sin(pitch))], axis=1
    )
    right = np.stack([np.sin(heading), -np.cos(heading), np.zeros(n)], axis=1)
    T = np.zeros((n, 4, 4))
    T[:, :3, 0], T[:, :3, 1], T[:, :3, 2] = right, np.cross(forward, right), forward
    T[:, :2, 3], T[:, 2, 3], T[:, 3, 3] = position, height, 1.0
    return torch.from_numpy(T)


def length_m(line: Array) -> float:
    """Return the length of a polyline [N, 2] in metres."""
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _resampled(line: Array, step: float, *, closed: bool) -> Array:
    """Return a polyline with even steps of about ``step`` metres; a closed one does not repeat its first point."""
    points = np.concatenate([line, line[:1]]) if closed else line
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    count = max(2, round(way[-1] / step))
    at = np.linspace(0.0, way[-1], count, endpoint=not closed)
    return np.stack([np.interp(at, way, points[:, k]) for k in (0, 1)], axis=1)
