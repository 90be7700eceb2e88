"""Walls with openings, floors, ceilings, skirting, door and window frames, as solids."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmem_ros.scenes.layout import OUTER_WALL, WALL_HEIGHT, Door, FloorPlan, Room, Side, outer_sides
from vmem_ros.scenes.solids import Solid, span

Range = tuple[float, float]
_SKIRTING = (0.015, 0.085)
_CASING = (0.018, 0.07)


@dataclass(frozen=True)
class Finish:
    """Materials of one room's shell; ``accent`` clothes the wall on the side ``accent_side``."""

    floor: int
    ceiling: int
    wall: int
    accent: int
    accent_side: Side
    trim: int
    glass: int
    curtain: int
    threshold: int


@dataclass(frozen=True)
class Wall:
    """One side of a room: a band between the inner surface and the edge of the cell.

    :param across: its range of the coordinate across the wall.
    :param surface: the coordinate of the surface that faces the room.
    :param inward: +1 or -1, the direction from the surface into the room.
    """

    side: Side
    along: Range
    across: Range
    surface: float
    inward: float

    @property
    def runs_along_x(self) -> bool:
        """Whether the wall lies at constant y."""
        return self.side in ("south", "north")

    def solid(self, along: Range, across: Range, z: Range, material: int, room: int, *, grounded: bool) -> Solid:
        """Return a box in this wall's coordinates."""
        x, y = (along, across) if self.runs_along_x else (across, along)
        return span(x, y, z, material, room=room, grounded=grounded)

    def proud(self, thickness: float, *, start: float = 0.0) -> Range:
        """Return the range across the wall that stands out of its surface into the room."""
        a, b = self.surface + self.inward * start, self.surface + self.inward * (start + thickness)
        return min(a, b), max(a, b)


def walls_of(room: Room) -> list[Wall]:
    """Return the four walls of a room; south and north run through the corners."""
    cx0, cy0, cx1, cy1 = room.cell
    x0, y0, x1, y1 = room.bounds
    return [
        Wall("south", (cx0, cx1), (cy0, y0), y0, 1.0),
        Wall("north", (cx0, cx1), (y1, cy1), y1, -1.0),
        Wall("west", (y0, y1), (cx0, x0), x0, 1.0),
        Wall("east", (y0, y1), (x1, cx1), x1, -1.0),
    ]


def door_side(room: Room, door: Door) -> Side:
    """Return the side of the room on which a door of it lies."""
    x0, y0, _, _ = room.cell
    if door.axis == "x":
        return "south" if abs(door.at - y0) < 1e-9 else "north"
    return "west" if abs(door.at - x0) < 1e-9 else "east"


def openings_of(plan: FloorPlan, room: int, side: Side) -> list[tuple[Range, Range]]:
    """Return (along, z) of the doors and windows in one wall, in order."""
    here = plan.rooms[room]
    out = [(d.along, (0.0, d.height)) for d in plan.doors_of(room) if door_side(here, d) == side]
    out += [(w.along, w.z) for w in here.windows if w.side == side]
    return sorted(out)


def build_shell(plan: FloorPlan, finishes: list[Finish]) -> list[Solid]:
    """Return everything of the house that is not furniture."""
    solids: list[Solid] = []
    for index, (room, finish) in enumerate(zip(plan.rooms, finishes, strict=True)):
        x0, y0, x1, y1 = room.bounds
        cx0, cy0, cx1, cy1 = room.cell
        solids.append(span((x0, x1), (y0, y1), (-0.1, 0.0), finish.floor, room=index, grounded=True))
        solids.append(
            span((cx0, cx1), (cy0, cy1), (WALL_HEIGHT, WALL_HEIGHT + 0.1), finish.ceiling, room=index, grounded=True)
        )
        outer = outer_sides(room.cell, plan.size)
        for wall in walls_of(room):
            openings = openings_of(plan, index, wall.side)
            clothing = finish.accent if wall.side == finish.accent_side else finish.wall
            solids += _wall(wall, openings, clothing, index)
            solids += _skirting(wall, room, openings, finish.trim, index)
            for along, z in openings:
                if z[0] > 0:
                    solids += _window(wall, along, z, finish, index)
                else:
                    solids += _door_frame(wall, along, z[1], finish, index)
            if wall.side in outer:
                solids += _curtains(wall, room, openings, finish.curtain, index)
    return solids


def _wall(wall: Wall, openings: list[tuple[Range, Range]], material: int, room: int) -> list[Solid]:
    """Return a wall as boxes around its openings, lit as one."""
    whole = wall.solid(wall.along, wall.across, (0.0, WALL_HEIGHT), material, room, grounded=True)

    def piece(along: Range, z: Range) -> Solid:
        cut = wall.solid(along, wall.across, z, material, room, grounded=True)
        return replace(cut, sheet=(whole.centre, whole.half))

    solids, start = [], wall.along[0]
    for along, (low, high) in openings:
        solids += [piece((start, along[0]), (0.0, WALL_HEIGHT)), piece(along, (high, WALL_HEIGHT))]
        if low > 0:
            solids.append(piece(along, (0.0, low)))
        start = along[1]
    return [*solids, piece((start, wall.along[1]), (0.0, WALL_HEIGHT))]


def _skirting(wall: Wall, room: Room, openings: list[tuple[Range, Range]], material: int, index: int) -> list[Solid]:
    thickness, height = _SKIRTING
    x0, y0, x1, y1 = room.bounds
    start, end = (x0, x1) if wall.runs_along_x else (y0, y1)
    solids = []
    for along, (low, _) in openings:
        if low > 0:
            continue
        solids.append(
            wall.solid(
                (start, along[0] - _CASING[1]), wall.proud(thickness), (0.0, height), material, index, grounded=True
            )
        )
        start = along[1] + _CASING[1]
    solids.append(wall.solid((start, end), wall.proud(thickness), (0.0, height), material, index, grounded=True))
    return solids


def _door_frame(wall: Wall, along: Range, head: float, finish: Finish, room: int) -> list[Solid]:
    """Return the casing on the wall, the lining of the opening and this room's half of the threshold."""
    thickness, width = _CASING
    lining = 0.02
    a, b = along
    trim, face = finish.trim, wall.proud(thickness)
    return [
        wall.solid((a - width, a), face, (0.0, head), trim, room, grounded=False),
        wall.solid((b, b + width), face, (0.0, head), trim, room, grounded=False),
        wall.solid((a - width, b + width), face, (head, head + width), trim, room, grounded=False),
        wall.solid((a, a + lining), wall.across, (0.0, head), trim, room, grounded=False),
        wall.solid((b - lining, b), wall.across, (0.0, head), trim, room, grounded=False),
        wall.solid((a + lining, b - lining), wall.across, (head - lining, head), trim, room, grounded=False),
        wall.solid((a + lining, b - lining), wall.across, (-0.1, 0.0), finish.threshold, room, grounded=False),
    ]


def _window(wall: Wall, along: Range, z: Range, finish: Finish, room: int) -> list[Solid]:
    """Return the pane at the outer face of the wall, its sash and a sill."""
    a, b = along
    low, high = z
    outside = wall.surface - wall.inward * OUTER_WALL
    pane = tuple(sorted((outside, outside + wall.inward * 0.03)))
    sash = tuple(sorted((outside + wall.inward * 0.03, outside + wall.inward * 0.07)))
    bar = 0.045
    middle = (a + b) / 2
    trim = finish.trim
    solids = [
        wall.solid(along, pane, z, finish.glass, room, grounded=False),  # type: ignore[arg-type]
        wall.solid((a - 0.05, b + 0.05), wall.proud(0.05, start=-0.14), (low - 0.03, low), trim, room, grounded=False),
    ]
    for bars in (
        ((a, a + bar), z),
        ((b - bar, b), z),
        ((middle - bar / 2, middle + bar / 2), z),
        (along, (low, low + bar)),
        (along, (high - bar, high)),
    ):
        solids.append(wall.solid(bars[0], sash, bars[1], trim, room, grounded=False))  # type: ignore[arg-type]
    return solids


def _curtains(wall: Wall, room: Room, openings: list[tuple[Range, Range]], material: int, index: int) -> list[Solid]:
    x0, y0, x1, y1 = room.bounds
    start, end = (x0, x1) if wall.runs_along_x else (y0, y1)
    cloth, rail = wall.proud(0.06, start=0.03), wall.proud(0.02, start=0.05)
    solids = []
    for (a, b), (low, high) in openings:
        if low <= 0:
            continue
        bottom = 0.06 if low < 0.5 else low - 0.1
        left, right = max(a - 0.3, start + 0.02), min(b + 0.3, end - 0.02)
        solids.append(wall.solid((left, a + 0.06), cloth, (bottom, high + 0.12), material, index, grounded=False))
        solids.append(wall.solid((b - 0.06, right), cloth, (bottom, high + 0.12), material, index, grounded=False))
        solids.append(
            wall.solid((left - 0.02, right + 0.02), rail, (high + 0.11, high + 0.14), material, index, grounded=False)
        )
    return solids
