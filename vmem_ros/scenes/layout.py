"""Floor plans: a rectangle split into rooms, doors between them, windows to the outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

WALL_HEIGHT = 2.6
#: Half of an inner wall: each room owns the half on its side.
INNER_HALF = 0.07
OUTER_WALL = 0.22
_MIN_SIDE = 2.9
_CORNER = 0.28

Side = Literal["west", "east", "south", "north"]
RoomKind = Literal["living", "bedroom", "kitchen", "study", "dining"]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Window:
    """An opening in an outer wall: ``along`` is its range on the wall in metres (x or y), ``z`` its heights."""

    side: Side
    along: tuple[float, float]
    z: tuple[float, float]


@dataclass(frozen=True)
class Room:
    """One room.

    :param cell: x0, y0, x1, y1 up to the middle of the inner walls; the cells tile the house.
    :param bounds: x0, y0, x1, y1 between the wall surfaces.
    """

    name: str
    kind: RoomKind
    cell: Rectangle
    bounds: Rectangle
    windows: tuple[Window, ...] = ()

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the floor."""
        x0, y0, x1, y1 = self.bounds
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def area(self) -> float:
        """Floor area in square metres."""
        x0, y0, x1, y1 = self.bounds
        return (x1 - x0) * (y1 - y0)


@dataclass(frozen=True)
class Door:
    """An opening without a leaf between two rooms.

    :param rooms: indices of the rooms it joins.
    :param axis: direction of its wall: ``x`` (a wall at constant y) or ``y`` (a wall at constant x).
    :param at: the constant coordinate of the wall's middle plane.
    :param along: range of the opening on the wall.
    :param height: of the lintel's lower edge.
    """

    rooms: tuple[int, int]
    axis: Literal["x", "y"]
    at: float
    along: tuple[float, float]
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the threshold."""
        middle = (self.along[0] + self.along[1]) / 2
        return (middle, self.at) if self.axis == "x" else (self.at, middle)

    @property
    def width(self) -> float:
        """Clear width in the wall, metres."""
        return self.along[1] - self.along[0]


@dataclass(frozen=True)
class FloorPlan:
    """Rooms and doors; every room can be reached from every other."""

    size: tuple[float, float]
    rooms: tuple[Room, ...]
    doors: tuple[Door, ...]

    def doors_of(self, room: int) -> list[Door]:
        """Return the doors of one room."""
        return [door for door in self.doors if room in door.rooms]


def draw_plan(rng: np.random.Generator) -> FloorPlan:
    """Return a random floor plan with three to six rooms."""
    count = int(rng.integers(3, 7))
    area = count * rng.uniform(14.0, 18.5)
    aspect = rng.uniform(1.0, 1.45)
    size = (float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect)))
    cells = _split([(0.0, 0.0, *size)], count, rng)
    doors = _doors(cells, rng)
    kinds = _kinds(cells, rng)
    rooms = []
    for index, cell in enumerate(cells):
        kind = kinds[index]
        nth = kinds[: index + 1].count(kind)
        name = f"{kind} room" if kind in ("living", "dining") else kind
        name = name if kinds.count(kind) == 1 else f"{name} {nth}"
        rooms.append(Room(name, kind, cell, _bounds(cell, size), _windows(cell, size, rng)))
    return FloorPlan(size, tuple(rooms), tuple(doors))


def outer_sides(cell: Rectangle, size: tuple[float, float]) -> set[Side]:
    """Return the sides of a cell that lie on the outline of the house."""
    x0, y0, x1, y1 = cell
    touches: dict[Side, bool] = {
        "west": x0 < 1e-9,
        "east": x1 > size[0] - 1e-9,
        "south": y0 < 1e-9,
        "north": y1 > size[1] - 1e-9,
    }
    return {side for side, outer in touches.items() if outer}


def _split(cells: list[Rectangle], count: int, rng: np.random.Generator) -> list[Rectangle]:
    while len(cells) < count:
        cells = sorted(cells, key=lambda c: -(c[2] - c[0]) * (c[3] - c[1]))
        x0, y0, x1, y1 = cells.pop(0)
        fraction = rng.uniform(0.4, 0.6)
        if x1 - x0 > y1 - y0:
            low, high = x0 + _MIN_SIDE, x1 - _MIN_SIDE
            cut = float(np.clip(x0 + fraction * (x1 - x0), min(low, high), max(low, high)))
            cells += [(x0, y0, cut, y1), (cut, y0, x1, y1)]
        else:
            low, high = y0 + _MIN_SIDE, y1 - _MIN_SIDE
            cut = float(np.clip(y0 + fraction * (y1 - y0), min(low, high), max(low, high)))
            cells += [(x0, y0, x1, cut), (x0, cut, x1, y1)]
    return cells


def _bounds(cell: Rectangle, size: tuple[float, float]) -> Rectangle:
    outer = outer_sides(cell, size)
    inset = {side: OUTER_WALL if side in outer else INNER_HALF for side in ("west", "south", "east", "north")}
    x0, y0, x1, y1 = cell
    return x0 + inset["west"], y0 + inset["south"], x1 - inset["east"], y1 - inset["north"]


def _kinds(cells: list[Rectangle], rng: np.random.Generator) -> list[RoomKind]:
    """Give the largest room to living, then one of each; big houses get a second bedroom."""
    rest: list[RoomKind] = ["kitchen", "bedroom", "study", "dining", "bedroom"]
    order = sorted(range(len(cells)), key=lambda i: -(cells[i][2] - cells[i][0]) * (cells[i][3] - cells[i][1]))
    chosen: list[RoomKind] = ["living", *rest[:2]]
    tail: list[RoomKind] = rest[2:]
    rng.shuffle(tail)
    chosen += tail
    kinds: list[RoomKind] = ["living"] * len(cells)
    for place, kind in zip(order, chosen, strict=False):
        kinds[place] = kind
    return kinds


def _shared_edges(cells: list[Rectangle]) -> list[tuple[int, int, Literal["x", "y"], float, float, float]]:
    """Return (i, j, axis, at, low, high) for every pair of cells with a common wall."""
    edges: list[tuple[int, int, Literal["x", "y"], float, float, float]] = []
    for i, a in enumerate(cells):
        for j, b in enumerate(cells):
            for axis, k in (("y", 0), ("x", 1)):
                other = 1 - k
                low, high = max(a[other], b[other]), min(a[other + 2], b[other + 2])
                if abs(a[k + 2] - b[k]) < 1e-9 and high > low:
                    edges.append((i, j, axis, a[k + 2], low, high))  # type: ignore[arg-type]
    return edges


def _doors(cells: list[Rectangle], rng: np.random.Generator) -> list[Door]:
    """Draw a spanning tree of doors over the shared walls, plus some more so that ways round exist."""
    edges = _shared_edges(cells)
    rng.shuffle(edges)
    group = list(range(len(cells)))
    doors: list[Door] = []
    # Wide walls first: a wall too short for a comfortable door is used only if nothing else joins the rooms.
    for i, j, axis, at, low, high in sorted(edges, key=lambda e: e[5] - e[4] < 2.0):
        room_for_door = high - low - 2 * (_CORNER + OUTER_WALL)
        joins = group[i] != group[j]
        if room_for_door < 0.95 or not (joins or rng.random() < 0.4):
            continue
        wide = room_for_door > 1.9 and rng.random() < 0.35
        width = float(rng.uniform(1.3, 1.7) if wide else min(rng.uniform(0.95, 1.05), room_for_door))
        start = float(rng.uniform(low + _CORNER + OUTER_WALL, high - _CORNER - OUTER_WALL - width))
        doors.append(Door((i, j), axis, at, (start, start + width), 2.2 if wide else 2.05))
        group = [group[i] if g == group[j] else g for g in group]
    if len(set(group)) > 1:
        raise AssertionError(f"rooms {cells} cannot be joined: the smallest side of a cell must be larger")
    return doors


def _windows(cell: Rectangle, size: tuple[float, float], rng: np.random.Generator) -> tuple[Window, ...]:
    windows = []
    x0, y0, x1, y1 = _bounds(cell, size)
    for side in sorted(outer_sides(cell, size)):
        low, high = (x0, x1) if side in ("south", "north") else (y0, y1)
        if rng.random() < 0.2:
            continue
        count = 2 if high - low > 4.2 and rng.random() < 0.6 else 1
        sill = float(rng.choice([0.25, 0.85, 0.85, 0.95]))
        bay = (high - low) / count
        for k in range(count):
            width = float(min(rng.uniform(0.9, 1.7), bay - 1.0))
            middle = low + bay * (k + 0.5) + float(rng.uniform(-0.15, 0.15)) * (bay - width)
            windows.append(Window(side, (middle - width / 2, middle + width / 2), (sill, 2.2)))
    return tuple(windows)
