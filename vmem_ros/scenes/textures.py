"""Procedural textures: seamless square images drawn once per house from a seed and a few colours.

Each painter returns sRGB values in [0, 1], [3, size, size], row 0 at the top, repeating in both directions unless it
is meant to be fitted to a face. RenderedHouse samples them through a mip pyramid, so painters need no filtering.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """A recipe for an image; equal recipes give equal images.

    :param kind: a key of :data:`PAINTERS` (or of the picture painters).
    :param seed: of everything random in it.
    :param colours: sRGB in [0, 1]; how many and what they mean depends on the kind.
    :param size: side in texels, a power of two.
    :param detail: how many elements (planks, tiles, stripes, folds ...) fit in one repeat.
    """

    kind: str
    seed: int
    colours: tuple[Colour, ...]
    size: int = 256
    detail: int = 8


Painter = Callable[[Texture, np.random.Generator], Tensor]


def grid(size: int) -> tuple[Tensor, Tensor]:
    """Return (u, v) in [0, 1) at texel centres, each [size, size]; u to the right, v downwards."""
    line = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    return line[None, :].expand(size, size), line[:, None].expand(size, size)


def noise(rng: np.random.Generator, size: int, cells_u: int, cells_v: int | None = None) -> Tensor:
    """Return periodic smooth noise [size, size] with mean about 0 and range about [-1, 1].

    Random numbers on a lattice, interpolated by cubic convolution: separable, so two small matrix products.
    """
    rows, columns = cells_v or cells_u, cells_u
    lattice = torch.from_numpy(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    return _interpolation(size, rows) @ lattice @ _interpolation(size, columns).T


@lru_cache(maxsize=64)
def _interpolation(size: int, cells: int) -> Tensor:
    """Return the weights [size, cells] of periodic cubic convolution (Keys, 1981, a = -1/2)."""
    at = (np.arange(size) + 0.5) / size * cells - 0.5
    first = np.floor(at).astype(int)
    weights = np.zeros((size, cells), np.float32)
    for k in range(-1, 3):
        x = np.abs(at - (first + k))
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        np.add.at(weights, (np.arange(size), (first + k) % cells), np.where(x <= 1, near, far))
    return torch.from_numpy(weights)


def fractal(rng: np.random.Generator, size: int, cells_u: int, cells_v: int | None = None, octaves: int = 3) -> Tensor:
    """Return a sum of octaves of :func:`noise`, each twice as fine and half as strong."""
    total, weight = torch.zeros(size, size), 0.0
    for octave in range(octaves):
        scale = 2**octave
        total += noise(rng, size, cells_u * scale, (cells_v or cells_u) * scale) / scale
        weight += 1 / scale
    return total / weight


def solid_colour(colour: Colour) -> Tensor:
    """Return a colour as [3, 1, 1]."""
    return torch.tensor(colour, dtype=torch.float32).view(3, 1, 1)


def mix(a: Tensor | Colour, b: Tensor | Colour, t: Tensor) -> Tensor:
    """Return ``a`` where t = 0 and ``b`` where t = 1: images [3, h, w] or plain colours, t [h, w]."""
    a = a if isinstance(a, Tensor) else solid_colour(a)
    b = b if isinstance(b, Tensor) else solid_colour(b)
    return a + (b - a) * t


def smooth(x: Tensor, low: float, high: float) -> Tensor:
    """Return the smoothstep of x between ``low`` and ``high``."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def per_cell(rng: np.random.Generator, rows: int, columns: int, row: Tensor, column: Tensor) -> Tensor:
    """Return one random number in [-1, 1] per cell, looked up at integer-valued (row, column)."""
    table = torch.from_numpy(rng.uniform(-1, 1, (rows, columns)).astype(np.float32))
    return table[row.long() % rows, column.long() % columns]


def _plaster(texture: Texture, rng: np.random.Generator) -> Tensor:
    shade = 0.03 * fractal(rng, texture.size, 4, octaves=3) + 0.022 * noise(rng, texture.size, texture.size // 4)
    return solid_colour(texture.colours[0]) * (1 + shade)


def _planks(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Floor boards along u: staggered joints, a tint and a grain per board."""
    u, v = grid(texture.size)
    rows, joints = texture.detail, 2
    row = torch.floor(v * rows)
    shift = per_cell(rng, rows, 1, row, torch.zeros_like(row)) * 0.5
    along = (u + shift) * joints
    column = torch.floor(along) % joints
    tint = per_cell(rng, rows, joints, row, column)
    grain = fractal(rng, texture.size, 4, texture.size // 5, octaves=2) * 0.5 + 0.5 * fractal(rng, texture.size, 3, 24)
    knots = smooth(noise(rng, texture.size, 7, 31), 0.8, 1.0)
    base = mix(texture.colours[0], texture.colours[1], (0.5 + 0.42 * tint + 0.28 * grain).clamp(0, 1))
    base = base * (1 - 0.3 * knots)
    across = (v * rows) % 1
    lengthwise = along % 1
    gap = torch.maximum(
        1 - smooth(torch.minimum(across, 1 - across), 0.0, 0.06),
        1 - smooth(torch.minimum(lengthwise, 1 - lengthwise), 0.0, 0.008),
    )
    return base * (1 - 0.55 * gap)


def _wood(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Furniture wood, grain along u."""
    v = grid(texture.size)[1]
    warp = fractal(rng, texture.size, 2, 5)
    rings = 0.5 + 0.5 * torch.sin(2 * torch.pi * (v * texture.detail + 1.4 * warp))
    fibre = fractal(rng, texture.size, 5, texture.size // 4, octaves=2)
    return mix(texture.colours[0], texture.colours[1], (0.2 + 0.45 * rings + 0.35 * fibre).clamp(0, 1))


def _tiles(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Square tiles with grout; colours: tile, second tile (chequered when different), grout."""
    u, v = grid(texture.size)
    n = texture.detail
    column, row = torch.floor(u * n), torch.floor(v * n)
    chequer = (column + row) % 2
    tint = per_cell(rng, n, n, row, column)
    base = mix(texture.colours[0], texture.colours[1], chequer)
    cloud = fractal(rng, texture.size, n, octaves=4)
    base = base * (1 + 0.07 * tint + 0.09 * cloud)
    fu, fv = (u * n) % 1, (v * n) % 1
    edge = torch.minimum(torch.minimum(fu, 1 - fu), torch.minimum(fv, 1 - fv))
    return mix(base, texture.colours[2], 1 - smooth(edge, 0.012, 0.03))


def _bricks(texture: Texture, rng: np.random.Generator) -> Tensor:
    u, v = grid(texture.size)
    rows, columns = texture.detail * 2, texture.detail
    row = torch.floor(v * rows)
    along = u * columns + 0.5 * (row % 2)
    column = torch.floor(along) % columns
    tint = per_cell(rng, rows, columns, row, column)
    base = mix(texture.colours[0], texture.colours[1], 0.5 + 0.5 * tint)
    base = base * (1 + 0.16 * fractal(rng, texture.size, 24, octaves=3))
    fu, fv = along % 1, (v * rows) % 1
    edge = torch.minimum(torch.minimum(fu, 1 - fu) * 2, torch.minimum(fv, 1 - fv))
    return mix(base, texture.colours[2], 1 - smooth(edge, 0.05, 0.11))


def _stripes(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Wallpaper of upright stripes: broad bands and thin lines of the other colours."""
    u, _ = grid(texture.size)
    phase = (u * texture.detail) % 1
    broad = smooth((phase - 0.25).abs(), 0.24, 0.26)
    line = 1 - smooth((phase - 0.75).abs(), 0.03, 0.05)
    base = mix(mix(texture.colours[0], texture.colours[1], broad), texture.colours[2], line)
    return base * (1 + 0.02 * noise(rng, texture.size, texture.size // 3) + 0.03 * fractal(rng, texture.size, 4))


def _motifs(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Wallpaper of flowers on a half-drop lattice, each turned and shaded a little differently."""
    u, v = grid(texture.size)
    n = texture.detail
    image = solid_colour(texture.colours[0]).expand(3, texture.size, texture.size)
    petals = int(rng.integers(4, 8))
    for half in (0.0, 0.5):
        x, y = u * n + half, v * n + half
        column, row = torch.floor(x), torch.floor(y)
        turn = torch.pi * per_cell(rng, n, n, row, column)
        scale = 1 + 0.2 * per_cell(rng, n, n, row, column)
        dx, dy = (x % 1 - 0.5) / scale, (y % 1 - 0.5) / scale
        radius, angle = torch.hypot(dx, dy), torch.atan2(dy, dx) + turn
        outline = 0.2 + 0.09 * torch.cos(petals * angle)
        image = mix(image, texture.colours[1], 1 - smooth(radius - outline, -0.02, 0.02))
        image = mix(image, texture.colours[2], 1 - smooth(radius, 0.06, 0.09))
    return image * (1 + 0.03 * fractal(rng, texture.size, 4))


def _lattice(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Wallpaper or cloth of crossing diagonals with dots."""
    u, v = grid(texture.size)
    n = texture.detail
    a, b = ((u + v) * n) % 1, ((u - v) * n) % 1
    line = torch.minimum((a - 0.5).abs(), (b - 0.5).abs())
    dots = torch.hypot((a + 0.5) % 1 - 0.5, (b + 0.5) % 1 - 0.5)
    image = mix(texture.colours[0], texture.colours[1], 1 - smooth(line, 0.03, 0.07))
    image = mix(image, texture.colours[2], 1 - smooth(dots, 0.1, 0.15))
    return image * (1 + 0.04 * fractal(rng, texture.size, 4))


def _fabric(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Woven cloth with worn patches."""
    u, v = grid(texture.size)
    threads = texture.size // 6
    weave = torch.sin(2 * torch.pi * u * threads) * torch.sin(2 * torch.pi * v * threads)
    shade = 0.05 * weave + 0.09 * fractal(rng, texture.size, 5) + 0.07 * noise(rng, texture.size, texture.size // 4)
    return solid_colour(texture.colours[0]) * (1 + shade)


def _tartan(texture: Texture, rng: np.random.Generator) -> Tensor:
    u, v = grid(texture.size)
    image = solid_colour(texture.colours[0]).expand(3, texture.size, texture.size)
    for colour, width, offset in zip(texture.colours[1:], (0.22, 0.07), (0.0, 0.37), strict=False):
        for axis in (u, v):
            phase = (axis * texture.detail + offset) % 1
            band = 1 - smooth((phase - 0.5).abs(), width, width + 0.03)
            image = mix(image, colour, 0.5 * band)
    return image * (1 + 0.06 * noise(rng, texture.size, texture.size // 4))


def _carpet(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A wall-to-wall carpet: speckled pile."""
    pile = noise(rng, texture.size, texture.size // 3) + noise(rng, texture.size, texture.size // 8)
    patches = fractal(rng, texture.size, 5)
    t = (0.5 + 0.3 * pile + 0.35 * patches).clamp(0, 1)
    return mix(texture.colours[0], texture.colours[1], t)


def _stone(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Veined or speckled worktop stone."""
    cloud = fractal(rng, texture.size, 4, octaves=4)
    vein = 1 - smooth((fractal(rng, texture.size, 3, octaves=4) + 0.4 * cloud).abs(), 0.0, 0.12)
    speckle = smooth(noise(rng, texture.size, texture.size // 3), 0.35, 0.8)
    base = mix(texture.colours[0], texture.colours[1], (0.5 + cloud).clamp(0, 1))
    return base * (1 - 0.3 * vein - 0.25 * speckle)


def _paint(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Lacquer or metal: one colour, brushed."""
    shade = 0.03 * fractal(rng, texture.size, 3) + 0.02 * noise(rng, texture.size, 8, texture.size // 2)
    return solid_colour(texture.colours[0]) * (1 + shade)


def _folds(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A curtain: upright folds of two colours."""
    u, _ = grid(texture.size)
    sway = fractal(rng, texture.size, 3, 2) * 0.02
    fold = 0.5 + 0.5 * torch.sin(2 * torch.pi * texture.detail * (u + sway))
    return mix(texture.colours[0], texture.colours[1], fold * 0.9) * (
        1 + 0.05 * noise(rng, texture.size, texture.size // 2, 6)
    )


def _foliage(texture: Texture, rng: np.random.Generator) -> Tensor:
    leaf = fractal(rng, texture.size, 9, 12, octaves=3)
    light = noise(rng, texture.size, 22, 28)
    return mix(texture.colours[0], texture.colours[1], smooth(leaf + 0.5 * light, -0.35, 0.5))


def _rug(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A rug fitted to its face: borders, a field of motifs and a medallion."""
    u, v = grid(texture.size)
    x, y = (u - 0.5) * 2, (v - 0.5) * 2
    edge = 1 - torch.maximum(x.abs(), y.abs())
    ground, second, third = texture.colours[:3]
    n = texture.detail
    diamond = ((x.abs() * n) % 1 - 0.5).abs() + ((y.abs() * n) % 1 - 0.5).abs()
    image = mix(ground, second, (diamond < 0.24).float())
    image = mix(image, third, (diamond < 0.1).float())
    rings = x.abs() * float(rng.uniform(0.8, 1.3)) + y.abs()
    for limit, colour in ((0.62, third), (0.56, second), (0.36, ground), (0.2, third)):
        wave = limit + 0.03 * torch.cos(12 * torch.atan2(y, x))
        image = mix(image, colour, (rings < wave).float())
    for low, high, colour in ((0.0, 0.04, second), (0.04, 0.17, third), (0.08, 0.13, ground), (0.17, 0.2, second)):
        image = mix(image, colour, ((edge >= low) & (edge < high)).float())
    teeth = (((u + v) * 24) % 1 < 0.5) & (edge > 0.085) & (edge < 0.125)
    image = mix(image, second, teeth.float())
    return image * (1 + 0.12 * noise(rng, texture.size, texture.size // 3) + 0.06 * fractal(rng, texture.size, 6))


def _books(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A row of spines fitted to the front of a block: widths, colours, bands and labels differ."""
    u, v = grid(texture.size)
    widths = np.cumsum(rng.uniform(0.6, 1.6, texture.detail))
    edges = torch.from_numpy((widths / widths[-1]).astype(np.float32))
    starts = torch.cat([torch.zeros(1), edges[:-1]])
    book = torch.searchsorted(edges, u.contiguous()).clamp(max=texture.detail - 1)
    palette = torch.tensor(texture.colours)
    colour = palette[torch.from_numpy(rng.integers(0, len(palette), texture.detail))]
    colour = colour * torch.from_numpy(rng.uniform(0.7, 1.15, (texture.detail, 1)).astype(np.float32))
    image = colour.T[:, book]
    within = (u - starts[book]) / (edges - starts)[book]
    band = torch.from_numpy(rng.uniform(0.1, 0.8, texture.detail).astype(np.float32))[book]
    label = torch.from_numpy(rng.uniform(0.05, 0.22, texture.detail).astype(np.float32))[book]
    stripe = ((v - band).abs() < label / 2) & (within > 0.2) & (within < 0.8)
    image = mix(image, (0.92, 0.87, 0.7), 0.75 * stripe.float())
    round_spine = 1 - (2 * within - 1).abs() ** 3
    return image * (0.45 + 0.55 * round_spine)


def _panel(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A cupboard front fitted to its face: ``detail`` doors with inset panels and knobs."""
    u, v = grid(texture.size)
    n = texture.detail
    x, y = (u * n) % 1, v
    edge = torch.minimum(torch.minimum(x, 1 - x), torch.minimum(y, 1 - y))
    grain = fractal(rng, texture.size, 32, 3, octaves=2)
    image = mix(texture.colours[0], texture.colours[1], (0.5 + 0.5 * grain).clamp(0, 1))
    inset = smooth(edge, 0.13, 0.15) - smooth(edge, 0.17, 0.19)
    image = image * (1 - 0.3 * inset - 0.55 * (1 - smooth(edge, 0.01, 0.025)))
    side = torch.where(torch.floor(u * n) % 2 == 0, 0.92, 0.08)
    knob = torch.hypot((x - side) * 1.0, (y - 0.5) * 1.6)
    return mix(image, texture.colours[2], 1 - smooth(knob, 0.03, 0.045))


def _drawers(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Drawer fronts fitted to a face: ``detail`` rows with handles."""
    u, v = grid(texture.size)
    y = (v * texture.detail) % 1
    edge = torch.minimum(torch.minimum(u, 1 - u) * 3, torch.minimum(y, 1 - y))
    grain = fractal(rng, texture.size, 3, 40, octaves=2)
    image = mix(texture.colours[0], texture.colours[1], (0.5 + 0.5 * grain).clamp(0, 1))
    image = image * (1 - 0.6 * (1 - smooth(edge, 0.02, 0.06)))
    handle = ((u - 0.5).abs() < 0.14) & ((y - 0.45).abs() < 0.05)
    return mix(image, texture.colours[2], handle.float())


def _ribs(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A radiator fitted to its face."""
    u, v = grid(texture.size)
    rib = (u * texture.detail) % 1
    shade = 0.6 + 0.4 * torch.sin(torch.pi * rib) ** 0.7
    rail = ((v - 0.1).abs() < 0.03) | ((v - 0.9).abs() < 0.03)
    return solid_colour(texture.colours[0]) * torch.where(rail, 0.92, shade)


def _sky(texture: Texture, rng: np.random.Generator) -> Tensor:
    """What a window shows, fitted to the pane: sky, hills, houses and trees."""
    u, v = grid(texture.size)
    top, bottom, hill, tree, roof = texture.colours[:5]
    image = mix(top, bottom, v.clamp(0, 1))
    cloud = smooth(fractal(rng, texture.size, 3, 6, octaves=4), 0.05, 0.6)
    image = mix(image, (1.0, 1.0, 1.0), 0.7 * cloud)
    ridge = 0.6 + 0.09 * fractal(rng, texture.size, 3, 1, octaves=2)[:1]
    fields = 0.85 + 0.25 * fractal(rng, texture.size, 5, 16)
    image = mix(image, solid_colour(hill) * fields, smooth(v - ridge, -0.01, 0.015))
    for _ in range(int(rng.integers(1, 4))):
        x, y, w, h = rng.uniform(0.1, 0.9), rng.uniform(0.74, 0.8), rng.uniform(0.05, 0.1), rng.uniform(0.06, 0.1)
        wall = ((u - x).abs() < w) & ((v - y).abs() < h)
        gable = ((v - (y - h)) < 0) & ((v - (y - h)) > -0.09 + 0.09 * (u - x).abs() / (1.15 * w))
        image = mix(image, (0.90, 0.87, 0.80), wall.float())
        image = mix(image, roof, gable.float())
        panes = wall & (((u - x) / w * 2.5 % 1 - 0.5).abs() < 0.2) & (((v - y) / h * 1.5 % 1 - 0.5).abs() < 0.25)
        image = mix(image, (0.30, 0.36, 0.42), panes.float())
    crowns = 0.8 + 0.13 * fractal(rng, texture.size, 6, 1)[:1]
    leaves = 0.75 + 0.55 * fractal(rng, texture.size, 14, octaves=4)
    return mix(image, solid_colour(tree) * leaves, smooth(v - crowns, -0.01, 0.02))


PAINTERS: dict[str, Painter] = {
    "plaster": _plaster,
    "planks": _planks,
    "wood": _wood,
    "tiles": _tiles,
    "bricks": _bricks,
    "stripes": _stripes,
    "motifs": _motifs,
    "lattice": _lattice,
    "fabric": _fabric,
    "tartan": _tartan,
    "carpet": _carpet,
    "stone": _stone,
    "paint": _paint,
    "folds": _folds,
    "foliage": _foliage,
    "rug": _rug,
    "books": _books,
    "panel": _panel,
    "drawers": _drawers,
    "ribs": _ribs,
    "sky": _sky,
}
