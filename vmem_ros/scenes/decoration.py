"""The taste of a house: which woods, papers, cloths and colours go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from vmem_ros.scenes.building_shell import Finish
from vmem_ros.scenes.layout import Room, Side
from vmem_ros.scenes.materials import Material, Materials
from vmem_ros.scenes.pictures import PICTURES
from vmem_ros.scenes.textures import Colour, Texture
from vmem_ros.scenes.time_of_day import Daylight

_WOODS: list[tuple[Colour, Colour]] = [
    ((0.42, 0.27, 0.15), (0.62, 0.43, 0.26)),
    ((0.56, 0.40, 0.24), (0.76, 0.59, 0.39)),
    ((0.70, 0.56, 0.38), (0.86, 0.73, 0.54)),
    ((0.27, 0.17, 0.11), (0.43, 0.28, 0.18)),
    ((0.48, 0.42, 0.36), (0.67, 0.61, 0.53)),
    ((0.50, 0.25, 0.14), (0.68, 0.38, 0.22)),
]
_WALLS: list[Colour] = [
    (0.91, 0.88, 0.81),
    (0.86, 0.83, 0.76),
    (0.78, 0.84, 0.83),
    (0.84, 0.80, 0.86),
    (0.90, 0.82, 0.72),
    (0.76, 0.82, 0.72),
    (0.90, 0.86, 0.70),
    (0.75, 0.80, 0.88),
    (0.90, 0.78, 0.74),
]
_ACCENTS: list[Colour] = [
    (0.24, 0.38, 0.44),
    (0.62, 0.30, 0.22),
    (0.30, 0.42, 0.30),
    (0.72, 0.55, 0.24),
    (0.40, 0.28, 0.42),
    (0.22, 0.30, 0.48),
    (0.68, 0.42, 0.38),
    (0.46, 0.50, 0.36),
]
_CLOTHS: list[Colour] = [
    (0.60, 0.24, 0.20),
    (0.24, 0.36, 0.52),
    (0.36, 0.46, 0.34),
    (0.78, 0.60, 0.28),
    (0.62, 0.58, 0.52),
    (0.34, 0.32, 0.36),
    (0.80, 0.74, 0.64),
    (0.52, 0.34, 0.46),
    (0.24, 0.46, 0.46),
    (0.76, 0.46, 0.32),
]
_INKS: list[Colour] = [
    (0.85, 0.22, 0.16),
    (0.12, 0.28, 0.52),
    (0.95, 0.76, 0.22),
    (0.16, 0.42, 0.34),
    (0.93, 0.90, 0.82),
    (0.10, 0.10, 0.14),
    (0.92, 0.52, 0.20),
    (0.42, 0.68, 0.78),
    (0.70, 0.34, 0.46),
    (0.56, 0.62, 0.36),
    (0.84, 0.70, 0.56),
    (0.36, 0.24, 0.44),
]
T = TypeVar("T")
_SIDES: tuple[Side, ...] = ("west", "east", "south", "north")


class Decorator:
    """Hands out materials; one for a whole house, so that its rooms belong together."""

    def __init__(self, materials: Materials, rng: np.random.Generator, daylight: Daylight) -> None:
        self._materials = materials
        self._rng = rng
        self._daylight = daylight
        self._floor_wood = self._pick(_WOODS)
        self._wood = [self._pick(_WOODS) for _ in range(2)]
        lacquer = self._pick(_WALLS + _ACCENTS[:3])
        self._fronts = [self._wood[0], (self._shade(lacquer, 0.94), lacquer)]
        white = tuple(float(x) for x in np.array([0.93, 0.92, 0.89]) * rng.uniform(0.95, 1.02))
        self.trim = self._plain(white)  # type: ignore[arg-type]
        self.ceiling = self._add("plaster", ((0.95, 0.94, 0.92),), repeat=2.6)
        self._warm = self._jitter((0.98, 0.88, 0.70), 0.02)
        self._stock: dict[str, list[int]] = {}

    def finish(self, room: Room) -> Finish:
        """Return the materials of a room's shell."""
        rng = self._rng
        wall_colour = self._pick(_WALLS)
        wall = self._add("plaster", (wall_colour,), size=512, repeat=3.1)
        return Finish(
            floor=self._floor(room),
            ceiling=self.ceiling,
            wall=self._paper(wall_colour) if rng.random() < 0.35 else wall,
            accent=self._accent(room, wall_colour),
            accent_side=self._pick(_SIDES),
            trim=self.trim,
            glass=self._glass(),
            curtain=self._add("folds", (self._shade(c := self._pick(_CLOTHS), 0.62), c), repeat=None, detail=6),
            threshold=self._add("wood", self._floor_wood, repeat=0.9, grain=True),
        )

    def wood(self) -> int:
        """Return one of the house's two furniture woods."""
        seed = int(self._rng.integers(2))
        return self._add("wood", self._pick(self._wood), repeat=0.8, grain=True, detail=9, seed=seed)

    def fabric(self) -> int:
        """Return upholstery in one of the cloth colours."""

        def make() -> int:
            colour = self._jitter(self._pick(_CLOTHS))
            if self._rng.random() < 0.2:
                return self._add("lattice", (colour, self._shade(colour, 1.35), self._shade(colour, 0.6)), repeat=0.5)
            return self._add("fabric", (colour,), repeat=0.7)

        return self._some("fabric", 5, make)

    def pillow(self) -> int:
        """Return a patterned cloth for cushions and blankets."""

        def make() -> int:
            a, b, c = self._colours(_CLOTHS, 3)
            kind = self._pick(("tartan", "lattice", "motifs", "stripes"))
            return self._add(kind, (a, self._shade(b, 1.2), c), repeat=0.55, detail=5)

        return self._some("pillow", 5, make)

    def linen(self) -> int:
        """Return bed linen."""
        return self._add("fabric", ((0.90, 0.88, 0.84),), repeat=0.9, seed=0)

    def rug(self) -> int:
        """Return a rug for one face."""
        return self._add("rug", tuple(self._colours(_CLOTHS, 3)), repeat=None, detail=int(self._rng.integers(5, 11)))

    def books(self) -> int:
        """Return a row of spines for one face."""

        def make() -> int:
            count = int(self._rng.integers(6, 12))
            return self._add("books", tuple(self._colours(_INKS, 7)), repeat=None, size=128, detail=count, fresh=True)

        return self._some("books", 12, make)

    def panel(self, doors: int) -> int:
        """Return cupboard doors for one face; a house has two styles of them."""
        pair = self._pick(self._fronts)
        return self._add("panel", (*pair, (0.2, 0.18, 0.16)), repeat=None, detail=doors, seed=0)

    def drawers(self, rows: int) -> int:
        """Return drawer fronts for one face."""
        return self._add("drawers", (*self._pick(self._wood), (0.75, 0.68, 0.5)), repeat=None, detail=rows)

    def stone(self) -> int:
        """Return worktop stone."""
        grey = float(self._rng.uniform(0.25, 0.85))
        return self._add("stone", (self._jitter((grey, grey, grey * 0.97)), (grey * 0.7,) * 3), repeat=1.3)

    def paint(self, colour: Colour | None = None) -> int:
        """Return lacquer, by default in a strong colour."""
        if colour is not None:
            return self._plain(colour)
        return self._some("paint", 8, lambda: self._plain(self._jitter(self._pick(_ACCENTS))))

    def metal(self) -> int:
        """Return dark or bright metal."""
        return self._plain(self._pick([(0.16, 0.16, 0.17), (0.62, 0.61, 0.60), (0.60, 0.50, 0.30)]))

    def ceramic(self) -> int:
        """Return what pots and vases are made of."""

        def make() -> int:
            kind = self._pick(("stripes", "lattice", "stone", "paint"))
            return self._add(kind, self._colours(_INKS, 3), repeat=0.25, size=128, detail=4)

        return self._some("ceramic", 6, make)

    def foliage(self) -> int:
        """Return leaves."""

        def make() -> int:
            green = self._jitter((0.36, 0.54, 0.24))
            return self._add("foliage", (self._shade(green, 0.35), self._shade(green, 1.15)), repeat=0.5)

        return self._some("foliage", 2, make)

    def screen(self) -> int:
        """Return what a switched-on screen shows."""
        kind = self._pick(("landscape", "waves", "discs"))
        return self._add(kind, tuple(self._colours(_INKS, 6)), repeat=None, size=128, glow=0.8, fresh=True)

    def radiator(self) -> int:
        """Return the front of a radiator."""
        return self._add("ribs", ((0.92, 0.91, 0.88),), repeat=None, detail=16)

    def picture(self, *, large: bool = False) -> int:
        """Return a painting for one face; every call makes another one."""
        kind = self._pick(sorted(PICTURES))
        return self._add(kind, self._colours(_INKS, 7), repeat=None, size=256 if large else 128, fresh=True)

    def lamp(self, *, emission: float) -> int:
        """Return a glowing lampshade."""
        return self._add("fabric", (self._warm,), repeat=0.4, glow=2.2, emission=emission, size=64, seed=0)

    def tiles(self) -> int:
        """Return small wall tiles."""
        a = self._pick(_WALLS)
        b = a if self._rng.random() < 0.5 else self._pick(_ACCENTS)
        return self._add("tiles", (a, b, (0.82, 0.81, 0.78)), repeat=0.9, detail=8)

    def _floor(self, room: Room) -> int:
        rng = self._rng
        if room.kind == "kitchen" or (room.kind == "dining" and rng.random() < 0.3):
            light = self._jitter((0.82, 0.78, 0.72))
            dark = self._shade(light, float(self._pick([1.0, 0.62, 0.4])))
            return self._add("tiles", (light, dark, (0.58, 0.56, 0.53)), size=512, repeat=2.4, detail=6)
        if room.kind in ("bedroom", "study") and rng.random() < 0.35:
            colour = self._jitter(self._pick(_CLOTHS))
            return self._add("carpet", (self._shade(colour, 0.7), self._shade(colour, 1.15)), size=512, repeat=1.9)
        return self._add("planks", self._floor_wood, size=512, repeat=2.3, detail=14, fresh=True)

    def _glass(self) -> int:
        """Return the view from a room's windows."""
        light = self._daylight
        green = self._jitter((0.27, 0.42, 0.20), 0.04)
        far = self._jitter((0.50, 0.62, 0.56), 0.04)
        land = (self._shade(colour, light.land) for colour in (far, green, self._jitter((0.72, 0.42, 0.32), 0.12)))
        return self._add("sky", (*light.sky, *land), repeat=None, glow=light.glow, emission=light.emission, fresh=True)

    def _paper(self, ground: Colour) -> int:
        second = self._shade(ground, float(self._rng.uniform(0.72, 0.9)))
        third = self._pick(_ACCENTS)
        kind = self._pick(("stripes", "motifs", "lattice"))
        detail = {"stripes": 12, "motifs": 8, "lattice": 8}[kind]
        return self._add(kind, (ground, second, third), size=512, repeat=2.1, detail=detail)

    def _accent(self, room: Room, ground: Colour) -> int:
        draw = self._rng.random()
        if draw < 0.25 and room.kind in ("living", "study", "dining"):
            red = self._jitter(self._pick([(0.62, 0.34, 0.26), (0.86, 0.84, 0.80), (0.55, 0.42, 0.34)]))
            return self._add("bricks", (self._shade(red, 0.8), red, (0.78, 0.75, 0.70)), size=512, repeat=1.7, detail=7)
        if draw < 0.6:
            return self._paper(self._jitter(self._pick([*_ACCENTS, ground])))
        return self._add("plaster", (self._jitter(self._pick(_ACCENTS)),), size=512, repeat=2.9)

    def _some(self, name: str, at_most: int, make: Callable[[], int]) -> int:
        """Return a new material of a sort until there are ``at_most`` of it in the house, then one of those."""
        stock = self._stock.setdefault(name, [])
        if len(stock) < at_most:
            stock.append(make())
            return stock[-1]
        return stock[int(self._rng.integers(at_most))]

    def _plain(self, colour: Colour) -> int:
        return self._add("paint", (colour,), repeat=1.1, size=64, seed=0)

    def _add(
        self,
        kind: str,
        colours: Sequence[Colour],
        *,
        repeat: float | None,
        size: int = 256,
        detail: int = 8,
        grain: bool = False,
        glow: float = 0.0,
        emission: float = 0.0,
        seed: int | None = None,
        fresh: bool = False,
    ) -> int:
        """Add a material; ``fresh`` ones never equal another, the rest come in a few variants of each kind."""
        if seed is None:
            seed = int(self._rng.integers(1 << 31)) if fresh else int(self._rng.integers(4))
        clipped = tuple(tuple(round(min(max(x, 0.02), 0.98), 4) for x in c) for c in colours)
        texture = Texture(kind, seed, clipped, size, detail)  # type: ignore[arg-type]
        return self._materials.add(Material(texture, repeat, grain, glow, emission))

    def _pick(self, options: Sequence[T]) -> T:
        return options[int(self._rng.integers(len(options)))]

    def _colours(self, options: Sequence[Colour], count: int) -> list[Colour]:
        return [self._jitter(options[i]) for i in self._rng.permutation(len(options))[:count]]

    def _jitter(self, colour: Colour, spread: float = 0.05) -> Colour:
        r, g, b = (float(c + d) for c, d in zip(colour, self._rng.uniform(-spread, spread, 3), strict=True))
        return r, g, b

    @staticmethod
    def _shade(colour: Colour, factor: float) -> Colour:
        return colour[0] * factor, colour[1] * factor, colour[2] * factor
