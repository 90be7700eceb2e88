"""Shelves, cupboards, desks, kitchens and what stands on them; frames as in :mod:`vmem_ros.scenes.furniture`."""

from __future__ import annotations

import itertools

import numpy as np

from vmem_ros.scenes.decoration import Decorator
from vmem_ros.scenes.furniture import book_pile, chair, plant, table_lamp, vase
from vmem_ros.scenes.solids import Shape, Solid, placed, span

_WORKTOP = 0.92


def bookcase(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a tall open shelf full of books."""
    w, depth, h = float(rng.uniform(0.38, 0.62)), 0.3, float(rng.uniform(1.75, 2.15))
    wood, board = d.wood(), 0.022
    parts = [
        span((-w, -w + board), (0.02, depth), (0.0, h), wood),
        span((w - board, w), (0.02, depth), (0.0, h), wood),
        span((-w, w), (0.005, 0.02), (0.0, h), wood),
        span((-w, w), (0.02, depth), (h - board, h), wood),
        span((-w + board, w - board), (0.02, depth - 0.02), (0.0, 0.07), wood),
    ]
    levels = np.linspace(0.07, h - board, int(rng.integers(5, 7)))
    for low, high in itertools.pairwise(levels):
        inner = w - board
        parts.append(span((-inner, inner), (0.02, depth - 0.01), (low, low + board), wood))
        parts += placed(books(d, rng, inner, high - low - board), 0.0, 0.02, 0.0, z=float(low) + board)
    return parts


def books(d: Decorator, rng: np.random.Generator, half_width: float, room: float) -> list[Solid]:
    """Return blocks of books (and now and then a vase) that fill one board of a shelf."""
    parts: list[Solid] = []
    x = -half_width + 0.01
    while x < half_width - 0.08:
        width = min(float(rng.uniform(0.16, 0.34)), half_width - x)
        draw = rng.random()
        if draw < 0.72:
            high, deep = room * float(rng.uniform(0.62, 0.93)), float(rng.uniform(0.17, 0.22))
            parts.append(span((x, x + width), (0.02, deep), (0.0, high), d.books()))
        elif draw < 0.88:
            r = min(width / 2 - 0.01, 0.07)
            shape: Shape = "ellipsoid" if draw < 0.8 else "cylinder"
            pot = [span((-r, r), (-r, r), (0.0, 0.7 * room), d.ceramic(), shape=shape)]
            parts += placed(pot, x + width / 2, 0.13, 0.0)
        x += width + float(rng.uniform(0.0, 0.03))
    return parts


def hanging_shelf(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a short board on the wall with books on it."""
    w, z = float(rng.uniform(0.3, 0.5)), float(rng.uniform(1.35, 1.5))
    parts = [span((-w, w), (0.0, 0.22), (z, z + 0.03), d.wood())]
    return parts + placed(books(d, rng, w, 0.3), 0.0, 0.0, 0.0, z=z + 0.03)


def wardrobe(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a tall cupboard."""
    doors = int(rng.integers(2, 4))
    w, h = 0.26 * doors, float(rng.uniform(1.9, 2.2))
    wood = d.wood()
    return [
        span((-w, w), (0.01, 0.56), (0.06, h), wood),
        span((-w + 0.03, w - 0.03), (0.03, 0.54), (0.0, 0.06), wood),
        span((-w + 0.012, w - 0.012), (0.56, 0.58), (0.08, h - 0.02), d.panel(doors)),
        span((-w - 0.02, w + 0.02), (0.0, 0.6), (h, h + 0.05), wood),
    ]


def sideboard(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a low cupboard with doors or drawers, and things on it."""
    w, h = float(rng.uniform(0.5, 0.85)), float(rng.uniform(0.7, 0.88))
    wood = d.wood()
    front = d.drawers(3) if rng.random() < 0.5 else d.panel(max(2, round(w / 0.26)))
    parts = [
        span((-w, w), (0.02, 0.42), (0.14, h - 0.03), wood),
        span((-w - 0.02, w + 0.02), (0.01, 0.45), (h - 0.03, h), wood),
        span((-w + 0.02, w - 0.02), (0.42, 0.435), (0.16, h - 0.05), front),
    ]
    for x in (-w + 0.05, w - 0.05):
        parts += [span((x - 0.02, x + 0.02), (y, y + 0.04), (0.0, 0.14), wood) for y in (0.06, 0.34)]
    for x in (-w * 0.65, 0.0, w * 0.65):
        thing = int(rng.integers(5))
        if thing < 4:
            top = (table_lamp(d), vase(d, rng), book_pile(d, rng), small_picture(d))[thing]
            parts += placed(top, x, 0.22, float(rng.uniform(-0.3, 0.3)), z=h)
    return parts


def small_picture(d: Decorator) -> list[Solid]:
    """Return a framed picture that stands on something and faces +y."""
    return [
        span((-0.11, 0.11), (-0.02, 0.0), (0.0, 0.28), d.wood()),
        span((-0.095, 0.095), (0.0, 0.004), (0.015, 0.265), d.picture()),
    ]


def television(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a television on a low board."""
    w, wood, black = float(rng.uniform(0.65, 0.85)), d.wood(), d.paint((0.05, 0.05, 0.055))
    parts = [
        span((-w, w), (0.02, 0.4), (0.1, 0.44), wood),
        span((-w + 0.02, w - 0.02), (0.4, 0.415), (0.12, 0.42), d.panel(3)),
        span((-w + 0.05, w - 0.05), (0.06, 0.36), (0.0, 0.1), black),
        span((-0.2, 0.2), (0.12, 0.3), (0.44, 0.455), black),
        span((-0.04, 0.04), (0.17, 0.2), (0.455, 0.6), black),
        span((-0.56, 0.56), (0.16, 0.2), (0.54, 1.18), black),
    ]
    return [*parts, span((-0.54, 0.54), (0.2, 0.203), (0.56, 1.16), d.screen())]


def desk(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a desk with a screen, a lamp, papers and a chair."""
    w, wood = float(rng.uniform(0.6, 0.75)), d.wood()
    black = d.paint((0.07, 0.07, 0.08))
    parts = [
        span((-w, w), (0.01, 0.68), (0.71, 0.745), wood),
        span((-w, -w + 0.03), (0.03, 0.66), (0.0, 0.71), wood),
        span((w - 0.42, w), (0.03, 0.62), (0.04, 0.71), wood),
        span((w - 0.4, w - 0.02), (0.62, 0.635), (0.06, 0.69), d.drawers(4)),
        span((-0.3, 0.26), (0.18, 0.21), (0.85, 1.2), black),
        span((-0.285, 0.245), (0.21, 0.213), (0.865, 1.185), d.screen()),
        span((-0.05, 0.01), (0.17, 0.2), (0.75, 0.9), black),
        span((-0.14, 0.1), (0.12, 0.28), (0.745, 0.757), black),
        span((-0.24, 0.2), (0.42, 0.56), (0.745, 0.762), d.paint((0.75, 0.74, 0.72))),
    ]
    parts += placed(table_lamp(d), w - 0.2, 0.24, 0.0, z=0.745)
    parts += placed(book_pile(d, rng), -w + 0.2, 0.3, float(rng.uniform(-0.4, 0.4)), z=0.745)
    seat = chair(d, wood=d.wood(), seat=d.fabric())
    return parts + placed(seat, -0.1, 0.85, np.pi + float(rng.uniform(-0.5, 0.5)))


def kitchen(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a kitchen row: units, worktop, hob, wall cupboards, tiles and a refrigerator."""
    half = float(rng.uniform(1.25, 1.5))
    return kitchen_units(d, half=half, end=half - 0.62) + _cupboards(d, rng, -half, half - 0.62, half)


def small_kitchen(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return the same in two metres."""
    half = 0.98
    return kitchen_units(d, half=half, end=half - 0.62) + _cupboards(d, rng, -half, half - 0.62, half)


def low_kitchen(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return units only, which fit under a window."""
    half = float(rng.uniform(0.8, 1.1))
    return kitchen_units(d, half=half, end=half)


def kitchen_units(d: Decorator, *, half: float, end: float) -> list[Solid]:
    """Return base units from -``half`` to ``end`` with worktop and hob."""
    steel, top, left = d.paint((0.6, 0.61, 0.62)), _WORKTOP, -half
    hob = left + 0.3 * (end - left)
    parts = [
        span((left, end), (0.01, 0.56), (0.1, top - 0.04), d.paint((0.9, 0.9, 0.89))),
        span((left, end), (0.05, 0.5), (0.0, 0.1), d.paint((0.2, 0.19, 0.18))),
        span((left + 0.005, end - 0.005), (0.56, 0.58), (0.12, top - 0.06), d.panel(_fronts(left, end))),
        span((left, end), (0.0, 0.6), (top - 0.04, top), d.stone()),
        span((hob - 0.28, hob + 0.28), (0.06, 0.54), (top, top + 0.008), d.paint((0.06, 0.06, 0.07))),
        span((hob - 0.22, hob - 0.04), (0.32, 0.5), (top + 0.015, top + 0.12), d.paint(), shape="cylinder"),
    ]
    ring = [span((-0.085, 0.085), (-0.085, 0.085), (0.0, 0.015), steel, shape="cylinder")]
    for x in (hob - 0.13, hob + 0.13):
        for y in (0.19, 0.41):
            parts += placed(ring, x, y, 0.0, z=top)
    return parts


def _cupboards(d: Decorator, rng: np.random.Generator, left: float, end: float, right: float) -> list[Solid]:
    """Return tiles and wall cupboards above units that reach from ``left`` to ``end``, and a refrigerator beside."""
    white, steel = d.paint((0.9, 0.9, 0.89)), d.paint((0.6, 0.61, 0.62))
    parts = [
        span((left, end), (0.0, 0.008), (_WORKTOP, 1.45), d.tiles()),
        span((left, end), (0.01, 0.33), (1.45, 2.1), white),
        span((left + 0.005, end - 0.005), (0.33, 0.35), (1.46, 2.09), d.panel(_fronts(left, end))),
        span((end + 0.02, right), (0.02, 0.62), (0.02, 1.85), white),
        span((end + 0.03, right - 0.01), (0.62, 0.635), (0.03, 0.68), steel),
        span((end + 0.03, right - 0.01), (0.62, 0.635), (0.7, 1.83), steel),
        span((end + 0.07, end + 0.09), (0.635, 0.66), (0.9, 1.4), d.metal()),
    ]
    return parts + placed(vase(d, rng), end - 0.18, 0.25, 0.0, z=_WORKTOP)


def _fronts(left: float, end: float) -> int:
    return max(2, round((end - left) / 0.45))


def radiator(d: Decorator, *, half_length: float, height: float) -> list[Solid]:
    """Return a radiator for under a window."""
    w = half_length
    return [
        span((-w, w), (0.03, 0.1), (0.14, height), d.trim),
        span((-w, w), (0.1, 0.103), (0.14, height), d.radiator()),
    ]


def corner_plant(d: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return a plant that stands at a wall."""
    return placed(plant(d, rng), 0.0, 0.3, 0.0)
