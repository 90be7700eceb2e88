"""Seats, tables, beds, lamps and plants.

Every function returns the solids of one piece. Its frame: x along the wall it stands against, y from the wall (0) into
the room, z up; pieces for the middle of a room are centred on the origin.
"""

from __future__ import annotations

import numpy as np

from vmem_ros.scenes.decoration import Decorator
from vmem_ros.scenes.solids import Shape, Solid, footprint, placed, span


def chair(d: Decorator, *, wood: int, seat: int) -> list[Solid]:
    """Return a dining chair centred on the origin that faces +y."""
    w, h, leg = 0.21, 0.45, 0.02
    parts = [span((-w, w), (-w, w), (h - 0.05, h), seat)]
    for x in (-w + leg, w - leg):
        parts.append(span((x - leg, x + leg), (-w, -w + 2 * leg), (0.0, 0.92), wood))
        parts.append(span((x - leg, x + leg), (w - 2 * leg, w), (0.0, h - 0.05), wood))
    parts += [span((-w, w), (-w + 0.005, -w + 0.03), z, wood) for z in ((0.6, 0.68), (0.8, 0.92))]
    return parts


def dining_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a table with chairs round it, and something on it."""
    wood, seat = d.wood(), d.fabric()
    parts: list[Solid] = []
    if rng.random() < 0.3:
        r = float(rng.uniform(0.5, 0.62))
        parts += [
            span((-r, r), (-r, r), (0.71, 0.75), wood, shape="cylinder"),
            span((-0.05, 0.05), (-0.05, 0.05), (0.03, 0.71), wood, shape="cylinder"),
            span((-0.28, 0.28), (-0.28, 0.28), (0.0, 0.03), wood, shape="cylinder"),
        ]
        turns = (0.0, np.pi / 2, np.pi, -np.pi / 2)
        places = [((r + 0.12) * np.sin(turn), -(r + 0.12) * np.cos(turn), turn) for turn in turns]
    else:
        length, depth = float(rng.uniform(0.6, 0.85)), 0.42
        parts += table(wood, length, depth, 0.75)
        xs = (-length / 2, length / 2) if length > 0.65 else (0.0,)
        places = [(x, s * (depth + 0.12), 0.0 if s < 0 else np.pi) for x in xs for s in (-1, 1)]
        if rng.random() < 0.5:
            places += [(-length - 0.1, 0.0, -np.pi / 2), (length + 0.1, 0.0, np.pi / 2)]
    for x, y, yaw in places:
        parts += placed(chair(d, wood=wood, seat=seat), x, y, yaw + float(rng.uniform(-0.25, 0.25)))
    return parts + placed(vase(d, rng), float(rng.uniform(-0.15, 0.15)), 0.0, 0.0, z=0.75)


def breakfast_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a small table with two chairs, for rooms where no dining set fits."""
    wood, seat = d.wood(), d.fabric()
    parts = table(wood, 0.38, 0.34, 0.75)
    for x, turn in ((-0.46, -np.pi / 2), (0.46, np.pi / 2)):
        parts += placed(chair(d, wood=wood, seat=seat), x, 0.0, turn + float(rng.uniform(-0.2, 0.2)))
    return parts + placed(vase(d, rng), 0.0, 0.05, 0.0, z=0.75)


def table(material: int, half_length: float, half_depth: float, height: float, *, leg: float = 0.03) -> list[Solid]:
    """Return a four-legged table centred on the origin."""
    x, y = half_length, half_depth
    parts = [
        span((-x, x), (-y, y), (height - 0.035, height), material),
        span((-x + leg, x - leg), (-y + leg, y - leg), (height - 0.1, height - 0.035), material),
    ]
    for sx in (-1, 1):
        for sy in (-1, 1):
            cx, cy = sx * (x - 2 * leg), sy * (y - 2 * leg)
            parts.append(span((cx - leg, cx + leg), (cy - leg, cy + leg), (0.0, height - 0.1), material))
    return parts


def sofa(d: Decorator, rng: np.random.Generator, *, seats: int) -> list[Solid]:
    """Return a sofa (or with one seat an armchair) with its back to the wall."""
    cloth, foot = d.fabric(), d.metal()
    width = 0.34 * seats + (0.14 if seats > 1 else 0.1)
    arm = 0.16
    outer = width + arm
    parts = [
        span((-outer, outer), (0.06, 0.86), (0.1, 0.3), cloth),
        span((-outer, outer), (0.04, 0.26), (0.3, 0.82), cloth),
        span((-outer, -width), (0.06, 0.88), (0.28, 0.6), cloth),
        span((width, outer), (0.06, 0.88), (0.28, 0.6), cloth),
    ]
    step = 2 * width / seats
    for k in range(seats):
        a = -width + k * step
        parts.append(span((a + 0.008, a + step - 0.008), (0.26, 0.9), (0.3, 0.45), cloth))
        parts.append(span((a + 0.015, a + step - 0.015), (0.24, 0.38), (0.45, 0.8), cloth))
    for x in (-outer + 0.06, outer - 0.06):
        parts += [span((x - 0.025, x + 0.025), (y - 0.025, y + 0.025), (0.0, 0.1), foot) for y in (0.12, 0.8)]
    for side in (-1, 1)[: 2 if seats > 1 else 1]:
        if rng.random() < 0.85:
            x = side * (width - 0.2) if seats > 1 else 0.0
            pillow = [span((-0.2, 0.2), (-0.075, 0.075), (0.0, 0.36), d.pillow(), shape="ellipsoid")]
            parts += placed(pillow, x, 0.45, float(rng.uniform(-0.4, 0.4)), z=0.45)
    return parts


def sofa_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a sofa with a rug and a coffee table before it."""
    return _sofa_set(d, rng, seats=3)


def small_sofa_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return the same with two seats."""
    return _sofa_set(d, rng, seats=2)


def _sofa_set(d: Decorator, rng: np.random.Generator, *, seats: int) -> list[Solid]:
    parts = sofa(d, rng, seats=seats)
    low, material = float(rng.uniform(0.36, 0.44)), d.wood()
    if rng.random() < 0.35:
        coffee = [
            span((-0.4, 0.4), (-0.4, 0.4), (low - 0.04, low), material, shape="cylinder"),
            span((-0.26, 0.26), (-0.26, 0.26), (0.01, low - 0.04), material, shape="cylinder"),
        ]
    else:
        coffee = table(material, 0.5, 0.28, low)
    coffee += placed(book_pile(d, rng), 0.18, 0.02, float(rng.uniform(-0.5, 0.5)), z=low)
    if rng.random() < 0.7:
        coffee += placed(vase(d, rng), -0.2, 0.0, 0.0, z=low)
    parts += placed(coffee, 0.0, 1.55, 0.0)
    return parts + rug(d, half_length=0.34 * seats + 0.45, half_depth=0.75, y=1.4)


def rug(d: Decorator, *, half_length: float, half_depth: float, y: float = 0.0) -> list[Solid]:
    """Return a rug, one centimetre thick."""
    return [span((-half_length, half_length), (y - half_depth, y + half_depth), (0.0, 0.012), d.rug())]


def armchair(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return an armchair."""
    return sofa(d, rng, seats=1)


def armchair_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return an armchair with a reading lamp."""
    return armchair(d, rng) + placed(floor_lamp(d), 0.78, 0.3, 0.0)


def bed(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a bed, its head to the wall."""
    half = float(rng.uniform(0.5, 0.8))
    wood, linen, blanket = d.wood(), d.linen(), d.pillow()
    parts = [
        span((-half - 0.04, half + 0.04), (0.0, 0.06), (0.0, float(rng.uniform(0.9, 1.15))), wood),
        span((-half - 0.02, half + 0.02), (0.06, 2.08), (0.1, 0.3), wood),
        span((-half, half), (0.07, 2.05), (0.3, 0.5), linen),
        span((-half - 0.03, half + 0.03), (0.75, 2.1), (0.26, 0.53), blanket),
        span((-half - 0.03, half + 0.03), (0.62, 0.78), (0.3, 0.545), linen),
    ]
    for x in (-half, half):
        parts += [span((x - 0.04, x + 0.04), (y, y + 0.08), (0.0, 0.1), wood) for y in (0.1, 1.95)]
    for x in (-half / 2, half / 2) if half > 0.68 else (0.0,):
        parts.append(span((x - 0.34, x + 0.34), (0.12, 0.56), (0.48, 0.66), linen, shape="ellipsoid"))
    return parts


def bed_set(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a bed between two bedside tables."""
    parts = bed(d, rng)
    for side in (-1, 1):
        parts += placed(bedside_table(d, rng), side * (size_of(parts[:1])[0] / 2 + 0.26), 0.0, 0.0)
    return parts


def bedside_table(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a small cupboard with a lamp or books on it."""
    parts = [
        span((-0.22, 0.22), (0.02, 0.4), (0.06, 0.5), d.wood()),
        span((-0.2, 0.2), (0.4, 0.415), (0.09, 0.47), d.drawers(2)),
    ]
    top = table_lamp(d) if rng.random() < 0.7 else book_pile(d, rng)
    return parts + placed(top, 0.0, 0.2, 0.0, z=0.5)


def floor_lamp(d: Decorator) -> list[Solid]:
    """Return a standing lamp."""
    metal = d.metal()
    return [
        span((-0.14, 0.14), (-0.14, 0.14), (0.0, 0.025), metal, shape="cylinder"),
        span((-0.013, 0.013), (-0.013, 0.013), (0.025, 1.45), metal, shape="cylinder"),
        span((-0.19, 0.19), (-0.19, 0.19), (1.4, 1.68), d.lamp(emission=14.0), shape="cylinder"),
    ]


def table_lamp(d: Decorator) -> list[Solid]:
    """Return a small lamp that stands on something."""
    return [
        span((-0.06, 0.06), (-0.06, 0.06), (0.0, 0.2), d.ceramic(), shape="ellipsoid"),
        span((-0.12, 0.12), (-0.12, 0.12), (0.19, 0.36), d.lamp(emission=10.0), shape="cylinder"),
    ]


def ceiling_lamp(d: Decorator, rng: np.random.Generator, *, ceiling: float, area: float) -> list[Solid]:
    """Return a hanging globe, a drum or a flat lamp; larger rooms get a stronger one."""
    shade, metal = d.lamp(emission=float(np.round(3.2 * area * rng.uniform(0.9, 1.2), 1))), d.metal()
    kind = int(rng.integers(3))
    if kind == 0:
        return [
            span((-0.17, 0.17), (-0.17, 0.17), (ceiling - 0.55, ceiling - 0.21), shade, shape="ellipsoid"),
            span((-0.008, 0.008), (-0.008, 0.008), (ceiling - 0.22, ceiling), metal),
        ]
    if kind == 1:
        return [
            span((-0.22, 0.22), (-0.22, 0.22), (ceiling - 0.5, ceiling - 0.26), shade, shape="cylinder"),
            span((-0.008, 0.008), (-0.008, 0.008), (ceiling - 0.26, ceiling), metal),
        ]
    return [
        span((-0.24, 0.24), (-0.24, 0.24), (ceiling - 0.11, ceiling - 0.02), shade, shape="cylinder"),
        span((-0.26, 0.26), (-0.26, 0.26), (ceiling - 0.03, ceiling), metal, shape="cylinder"),
    ]


def plant(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a potted plant, centred on the origin."""
    r, h = float(rng.uniform(0.13, 0.19)), float(rng.uniform(0.26, 0.4))
    leaves = d.foliage()
    trunk = h + float(rng.uniform(0.1, 0.5))
    parts = [
        span((-r, r), (-r, r), (0.0, h), d.ceramic(), shape="cylinder"),
        span((-0.018, 0.018), (-0.018, 0.018), (h, trunk + 0.1), d.wood(), shape="cylinder"),
    ]
    for k in range(int(rng.integers(5, 9))):
        angle, out = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.03, 0.16))
        a, b = float(rng.uniform(0.09, 0.17)), float(rng.uniform(0.11, 0.2))
        z = trunk + 0.09 * k + float(rng.uniform(0.0, 0.12))
        leaf = [span((-a, a), (-0.6 * a, 0.6 * a), (-b, b), leaves, shape="ellipsoid")]
        parts += placed(leaf, out * np.cos(angle), out * np.sin(angle), angle, z=z)
    return parts


def vase(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a vase, sometimes with a bunch of green."""
    r, h = float(rng.uniform(0.05, 0.08)), float(rng.uniform(0.14, 0.26))
    shape: Shape = "ellipsoid" if rng.random() < 0.5 else "cylinder"
    parts = [span((-r, r), (-r, r), (0.0, h), d.ceramic(), shape=shape)]
    if rng.random() < 0.6:
        leaves = d.foliage()
        for _ in range(3):
            leaf = [span((-0.06, 0.06), (-0.06, 0.06), (-0.08, 0.09), leaves, shape="ellipsoid")]
            x, y = (float(v) for v in rng.uniform(-0.07, 0.07, 2))
            parts += placed(leaf, x, y, 0.0, z=h + float(rng.uniform(0.03, 0.13)))
    return parts


def book_pile(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a few books lying on each other."""
    parts: list[Solid] = []
    z = 0.0
    for _ in range(int(rng.integers(2, 5))):
        thick = float(rng.uniform(0.02, 0.045))
        a, b = float(rng.uniform(0.09, 0.12)), float(rng.uniform(0.12, 0.15))
        book = [span((-a, a), (-b, b), (0.0, thick), d.paint())]
        parts += placed(book, 0.0, 0.0, float(rng.uniform(-0.3, 0.3)), z=z)
        z += thick
    return parts


def size_of(solids: list[Solid]) -> tuple[float, float]:
    """Return width and depth of a piece's bounding rectangle."""
    x0, y0, x1, y1 = footprint(solids)
    return x1 - x0, y1 - y0
