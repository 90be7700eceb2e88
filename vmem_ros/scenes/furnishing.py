"""Puts furniture into rooms: along walls and in the middle, never in the way between doors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from vmem_ros.scenes import cabinets, furniture
from vmem_ros.scenes.building_shell import Wall, openings_of, walls_of
from vmem_ros.scenes.decoration import Decorator
from vmem_ros.scenes.freespace import HEADROOM_M, STEP_M
from vmem_ros.scenes.layout import WALL_HEIGHT, FloorPlan, Rectangle
from vmem_ros.scenes.solids import Solid, footprint, placed, span

_YAW = {"south": 0.0, "north": np.pi, "west": -np.pi / 2, "east": np.pi / 2}
_CELL = 0.1
# A robot of this radius must be able to go from door to door, and to this share of the floor.
_RADIUS, _FREE_SHARE = 0.43, 0.12
_PASSAGE = 0.9
# A headboard may rise this far above a window sill.
_OVER_SILL = 0.2
_TRIES = 20

Piece = Callable[[Decorator, np.random.Generator], list[Solid]]


def furnish(plan: FloorPlan, decorator: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return lamps, furniture and pictures of all rooms, in world coordinates."""
    solids: list[Solid] = []
    for index in range(len(plan.rooms)):
        solids += _Furnisher(plan, index, decorator, rng).furnish()
    return solids


class _Furnisher:
    """Furnishes one room, piece by piece; a piece that does not fit is left out."""

    def __init__(self, plan: FloorPlan, index: int, decorator: Decorator, rng: np.random.Generator) -> None:
        self.index, self.room = index, plan.rooms[index]
        self.decorator, self.rng = decorator, rng
        self.walls = walls_of(self.room)
        self.openings = {w.side: openings_of(plan, index, w.side) for w in self.walls}
        self.solids: list[Solid] = []
        # What stands on the floor or hangs at eye level: rectangle, lowest and highest point.
        self.taken: list[tuple[Rectangle, float, float]] = []
        self.standing: list[Rectangle] = []
        self.entrances, self.passages = self._entrances()

    def furnish(self) -> list[Solid]:
        """Return all solids of the room."""
        d, rng, room = self.decorator, self.rng, self.room
        x, y = room.centre
        self.solids += placed(
            furniture.ceiling_lamp(d, rng, ceiling=WALL_HEIGHT, area=room.area), x, y, 0.0, room=self.index
        )
        for alternatives in self._wishes():
            any(self._along_walls(piece) for piece in alternatives)
        if room.kind in ("dining", "kitchen"):
            any(self._in_the_middle(piece) for piece in (furniture.dining_set, furniture.breakfast_set))
        elif room.kind in ("study", "bedroom") and rng.random() < 0.6:
            half = 0.26 * min(room.bounds[2] - room.bounds[0], room.bounds[3] - room.bounds[1])
            rug = furniture.rug(d, half_length=1.25 * half, half_depth=half)
            self.solids += placed(rug, x, y, float(rng.choice([0.0, np.pi / 2])), room=self.index)
        self._radiators()
        self._pictures()
        return self.solids

    def _wishes(self) -> list[tuple[Piece, ...]]:
        """Return what the room should have along its walls, the most important first; of alternatives the first."""
        sit, read = (furniture.sofa_set, furniture.small_sofa_set), (furniture.armchair_set, furniture.armchair)
        shelf, board, plant = (cabinets.bookcase,), (cabinets.sideboard,), (cabinets.corner_plant,)
        wishes: dict[str, list[tuple[Piece, ...]]] = {
            "living": [sit, (cabinets.television,), shelf, read, board, plant, shelf],
            "bedroom": [(furniture.bed_set, furniture.bed), (cabinets.wardrobe,), board, plant],
            "kitchen": [(cabinets.kitchen, cabinets.small_kitchen, cabinets.low_kitchen), board, plant],
            "study": [(cabinets.desk,), shelf, shelf, read, plant],
            "dining": [board, shelf, plant],
        }
        return [*wishes[self.room.kind], (cabinets.hanging_shelf,)]

    def _along_walls(self, piece: Piece) -> bool:
        """Try places along the walls until a piece fits; walls without windows and doors come first."""
        solids = piece(self.decorator, self.rng)
        x0, _, x1, _ = footprint(solids)
        order = sorted(self.walls, key=lambda w: len(self.openings[w.side]) + self.rng.uniform(0, 1.5))
        for wall in order:
            low, high = self._extent(wall)
            if high - low < x1 - x0:
                continue
            for _ in range(_TRIES):
                start = low + float(self.rng.uniform(0, high - low - (x1 - x0)))
                turn = 1.0 if wall.side in ("south", "east") else -1.0
                middle = start - x0 if turn > 0 else start + x1
                at = wall.surface + wall.inward * 0.02
                x, y = (middle, at) if wall.runs_along_x else (at, middle)
                if self._put(placed(solids, x, y, _YAW[wall.side], room=self.index), wall):
                    return True
        return False

    def _in_the_middle(self, piece: Piece) -> bool:
        solids = piece(self.decorator, self.rng)
        x0, y0, x1, y1 = self.room.bounds
        for spread in np.linspace(0.0, 0.35, _TRIES):
            x = float((x0 + x1) / 2 + self.rng.uniform(-spread, spread) * (x1 - x0))
            y = float((y0 + y1) / 2 + self.rng.uniform(-spread, spread) * (y1 - y0))
            yaw = float(self.rng.choice([0.0, np.pi / 2]) + self.rng.uniform(-0.08, 0.08))
            if self._put(placed(solids, x, y, yaw, room=self.index), None):
                return True
        return False

    def _put(self, solids: list[Solid], wall: Wall | None) -> bool:
        """Accept solids if they overlap nothing, hide no window and leave ways through the room."""
        blocking = [s for s in solids if s.high > STEP_M]
        area = footprint(blocking)
        low, high = min(s.low for s in blocking), max(s.high for s in blocking)
        x0, y0, x1, y1 = self.room.bounds
        if area[0] < x0 or area[1] < y0 or area[2] > x1 or area[3] > y1:
            return False
        if any(_overlap(area, other, 0.04) and low < t and high > b for other, b, t in self.taken):
            return False
        if wall is not None and self._hides_opening(area, low, high, wall):
            return False
        standing = [footprint([s]) for s in blocking if s.low < HEADROOM_M]
        if any(_overlap(s, strip, 0.0) for s in standing for strip in self.passages) or not self._passable(standing):
            return False
        self.taken.append((area, low, high))
        self.standing += standing
        self.solids += solids
        return True

    def _hides_opening(self, area: Rectangle, low: float, high: float, wall: Wall) -> bool:
        a, b = (area[0], area[2]) if wall.runs_along_x else (area[1], area[3])
        return any(
            a < along[1] + 0.32 and b > along[0] - 0.32 and high > z[0] + _OVER_SILL and low < z[1]
            for along, z in self.openings[wall.side]
        )

    def _passable(self, more: list[Rectangle]) -> bool:
        """Return whether all doors stay joined and enough floor stays reachable."""
        x0, y0, x1, y1 = self.room.bounds
        y, x = np.meshgrid(np.arange(y0, y1, _CELL), np.arange(x0, x1, _CELL), indexing="ij")
        free = (x > x0 + _RADIUS) & (x < x1 - _RADIUS) & (y > y0 + _RADIUS) & (y < y1 - _RADIUS)
        for a0, b0, a1, b1 in [*self.standing, *more]:
            gap = np.hypot(np.maximum(np.maximum(a0 - x, x - a1), 0), np.maximum(np.maximum(b0 - y, y - b1), 0))
            free &= gap > _RADIUS
        labels, _ = ndimage.label(free)
        found = {int(labels[int((py - y0) / _CELL), int((px - x0) / _CELL)]) for px, py in self.entrances}
        if len(found) != 1 or 0 in found:
            return False
        return bool((labels == found.pop()).sum() * _CELL**2 > _FREE_SHARE * self.room.area)

    def _entrances(self) -> tuple[list[tuple[float, float]], list[Rectangle]]:
        """Return a point half a metre inside every door, and the strip of floor before it that stays free."""
        points, strips = [], []
        for wall in self.walls:
            for along, z in self.openings[wall.side]:
                if z[0] > 0:
                    continue
                v, (near, far) = wall.surface + wall.inward * 0.55, wall.proud(_PASSAGE)
                u = (along[0] + along[1]) / 2
                points.append((u, v) if wall.runs_along_x else (v, u))
                a, b = along
                strips.append((a, near, b, far) if wall.runs_along_x else (near, a, far, b))
        return points, strips

    def _extent(self, wall: Wall) -> tuple[float, float]:
        x0, y0, x1, y1 = self.room.bounds
        return (x0, x1) if wall.runs_along_x else (y0, y1)

    def _radiators(self) -> None:
        for wall in self.walls:
            for along, z in self.openings[wall.side]:
                if z[0] > 0.7 and self.rng.random() < 0.6:
                    half = (along[1] - along[0]) / 2 - 0.1
                    middle, at = (along[0] + along[1]) / 2, wall.surface
                    x, y = (middle, at) if wall.runs_along_x else (at, middle)
                    solids = cabinets.radiator(self.decorator, half_length=half, height=z[0] - 0.12)
                    self._put(placed(solids, x, y, _YAW[wall.side], room=self.index), None)

    def _pictures(self) -> None:
        """Hang pictures where a wall is free at eye level."""
        for wall in self.walls:
            low, high = self._extent(wall)
            for _ in range(int(self.rng.integers(4, 9))):
                width, height = (float(v) for v in self.rng.uniform(0.32, 0.9, 2))
                height = float(np.clip(height, 0.6 * width, 1.4 * width))
                if high - low < width + 0.3:
                    continue
                middle = float(self.rng.uniform(low + width / 2 + 0.12, high - width / 2 - 0.12))
                z = float(self.rng.uniform(1.48, 1.62))
                self._hang(wall, middle, z, width / 2, height / 2)

    def _hang(self, wall: Wall, middle: float, z: float, half_width: float, half_height: float) -> None:
        d = self.decorator
        frame = d.wood() if self.rng.random() < 0.6 else d.metal()
        border = float(self.rng.uniform(0.015, 0.04))
        w, h = half_width, half_height
        solids = [
            span((-w - border, w + border), (0.0, 0.022), (z - h - border, z + h + border), frame),
            span((-w, w), (0.022, 0.026), (z - h, z + h), d.picture(large=w > 0.3)),
        ]
        x, y = (middle, wall.surface) if wall.runs_along_x else (wall.surface, middle)
        hung = placed(solids, x, y, _YAW[wall.side], room=self.index)
        area = footprint(hung)
        clear = not self._hides_opening(area, z - h - border, z + h + border, wall)
        low, high = z - h - 0.1, z + h + 0.1
        clear &= not any(_overlap(area, other, 0.08) and low < t and high > b for other, b, t in self.taken)
        if clear:
            self.taken.append((area, z - h, z + h))
            self.solids += hung


def _overlap(a: Rectangle, b: Rectangle, gap: float) -> bool:
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap
