"""Pictures for the walls: small procedural paintings, no two alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vmem_ros.scenes.textures import Colour, Painter, Texture, fractal, grid, mix, noise, smooth, solid_colour


def _palette(texture: Texture, rng: np.random.Generator, count: int) -> list[Colour]:
    colours = list(texture.colours)
    return [colours[i] for i in rng.permutation(np.arange(count) % len(colours))]


def _discs(texture: Texture, rng: np.random.Generator) -> Tensor:
    u, v = grid(texture.size)
    colours = _palette(texture, rng, 14)
    image = mix(colours[0], colours[1], v)
    for colour in colours[2:]:
        x, y = rng.uniform(0.05, 0.95, 2)
        radius = rng.uniform(0.06, 0.3)
        distance = torch.hypot(u - x, v - y)
        image = mix(image, colour, 1 - smooth(distance, radius - 0.008, radius + 0.008))
        if rng.random() < 0.5:
            ring = (distance - 0.6 * radius).abs()
            image = mix(image, colours[0], 1 - smooth(ring, 0.01, 0.02))
    return image


def _blocks(texture: Texture, rng: np.random.Generator) -> Tensor:
    """A plane cut again and again into rectangles with dark lines between."""
    u, v = grid(texture.size)
    image = torch.full((3, texture.size, texture.size), 0.93)
    cells = [(0.0, 0.0, 1.0, 1.0)]
    for _ in range(9):
        x0, y0, x1, y1 = cells.pop(int(np.argmax([(c[2] - c[0]) * (c[3] - c[1]) for c in cells])))
        cut = rng.uniform(0.3, 0.7)
        if x1 - x0 > y1 - y0:
            middle = x0 + cut * (x1 - x0)
            cells += [(x0, y0, middle, y1), (middle, y0, x1, y1)]
        else:
            middle = y0 + cut * (y1 - y0)
            cells += [(x0, y0, x1, middle), (x0, middle, x1, y1)]
    colours = _palette(texture, rng, len(cells))
    for (x0, y0, x1, y1), colour in zip(cells, colours, strict=True):
        inside = torch.minimum(torch.minimum(u - x0, x1 - u), torch.minimum(v - y0, y1 - v))
        if rng.random() < 0.75:
            image = mix(image, colour, (inside > 0).float())
        image = mix(image, (0.08, 0.08, 0.1), ((inside > 0) & (inside < 0.014)).float())
    return image


def _landscape(texture: Texture, rng: np.random.Generator) -> Tensor:
    u, v = grid(texture.size)
    colours = _palette(texture, rng, 7)
    image = mix(colours[0], colours[1], v * 1.4)
    x, y, radius = rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.35), rng.uniform(0.05, 0.11)
    image = mix(image, (1.0, 0.93, 0.7), 1 - smooth(torch.hypot(u - x, v - y), radius, radius + 0.02))
    for layer, colour in enumerate(colours[2:]):
        ridge = 0.35 + 0.13 * layer + 0.1 * fractal(rng, texture.size, 2 + layer, 1)[:1]
        below = smooth(v - ridge, 0.0, 0.012)
        shaded = solid_colour(colour) * (1 + 0.25 * fractal(rng, texture.size, 6, 14))
        image = mix(image, shaded, below)
    return image


def _waves(texture: Texture, rng: np.random.Generator) -> Tensor:
    u, v = grid(texture.size)
    colours = torch.tensor(_palette(texture, rng, 6)).T
    angle = rng.uniform(0, np.pi)
    along = u * float(np.cos(angle)) + v * float(np.sin(angle))
    field = along * float(rng.uniform(3, 6)) + 1.1 * fractal(rng, texture.size, 3, octaves=2)
    band = torch.floor(field * 2).long() % colours.shape[1]
    edge = (field * 2) % 1
    return colours[:, band] * (0.75 + 0.25 * smooth(edge, 0.0, 0.25))


def _brushwork(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Thick strokes over a ground."""
    u, v = grid(texture.size)
    colours = _palette(texture, rng, 26)
    image = solid_colour(colours[0]).expand(3, texture.size, texture.size)
    bristle = noise(rng, texture.size, texture.size // 3)
    for colour in colours[1:]:
        x, y = rng.uniform(0, 1, 2)
        angle, length, width = rng.uniform(0, np.pi), rng.uniform(0.12, 0.4), rng.uniform(0.02, 0.09)
        c, s = float(np.cos(angle)), float(np.sin(angle))
        a, b = (u - x) * c + (v - y) * s, -(u - x) * s + (v - y) * c
        inside = torch.hypot((a.abs() - length).clamp(min=0), b + 0.3 * a * a)
        image = mix(image, colour, 0.9 * (1 - smooth(inside + 0.012 * bristle, width - 0.01, width)))
    return image


def _still_life(texture: Texture, rng: np.random.Generator) -> Tensor:
    """Shaded balls and bottles on a table."""
    u, v = grid(texture.size)
    colours = _palette(texture, rng, 9)
    image = mix(colours[0], colours[1], smooth(v, 0.55, 0.6)) * (1 + 0.15 * fractal(rng, texture.size, 5))
    for colour in colours[2:]:
        x, radius = rng.uniform(0.12, 0.88), rng.uniform(0.06, 0.14)
        height = radius if rng.random() < 0.6 else rng.uniform(0.2, 0.35)
        y = rng.uniform(0.68, 0.85) - height
        dx, dy = (u - x) / radius, (v - y) / height
        distance = torch.hypot(dx, dy) if height == radius else (dx**4 + dy**4) ** 0.25
        light = (0.75 - 0.45 * dx - 0.25 * dy).clamp(0.25, 1.3)
        image = mix(image, solid_colour(colour) * light, 1 - smooth(distance, 0.97, 1.03))
    return image.clamp(0, 1)


def _framed(painter: Painter) -> Painter:
    """Put a painting on a mount, as prints are framed."""

    def paint(texture: Texture, rng: np.random.Generator) -> Tensor:
        u, v = grid(texture.size)
        edge = torch.minimum(torch.minimum(u, 1 - u), torch.minimum(v, 1 - v))
        mount = rng.uniform(0.05, 0.11) if rng.random() < 0.6 else 0.0
        image = painter(texture, rng)
        return mix(image, (0.95, 0.94, 0.9), (edge < mount).float())

    return paint


PICTURES: dict[str, Painter] = {
    "discs": _framed(_discs),
    "blocks": _framed(_blocks),
    "landscape": _framed(_landscape),
    "waves": _framed(_waves),
    "brushwork": _framed(_brushwork),
    "still_life": _framed(_still_life),
}
