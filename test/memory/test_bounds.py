"""Bounds of blocks: they hold all that is within, and follow from the elements alone."""

from __future__ import annotations

import torch

from vmem_ros.memory.bounds import BlockBounds, Bounds
from vmem_ros.memory.growable import BLOCK

CPU = torch.device("cpu")


def elements(n: int, seed: int) -> Bounds:
    g = torch.Generator().manual_seed(seed)
    return Bounds(torch.randn(n, 3, generator=g), 0.1 * torch.rand(n, generator=g), torch.rand(n, generator=g))


def check_equal(a: BlockBounds, b: BlockBounds) -> None:
    for x, y in ((a.blocks, b.blocks), (a.groups, b.groups)):
        assert all(torch.equal(*columns) for columns in zip(x, y, strict=True))


def bounds_of(all_of_them: Bounds) -> BlockBounds:
    out = BlockBounds(CPU)
    out.follow(all_of_them.select, len(all_of_them.radius), 0)
    return out


def test_they_hold_what_is_within() -> None:
    spheres = elements(2 * BLOCK**2 + 77, 0)
    bounds = bounds_of(spheres)
    for level, size in ((bounds.blocks, BLOCK), (bounds.groups, BLOCK**2)):
        owner = torch.arange(len(spheres.radius)) // size
        distance = torch.linalg.vector_norm(spheres.centre - level.centre[owner], dim=-1)
        assert (distance + spheres.radius <= level.radius[owner] + 1e-5).all()
        assert (spheres.largest <= level.largest[owner]).all()
        assert len(level.radius) == int(owner[-1]) + 1


def test_however_they_came_about() -> None:
    """Appended in pieces and cut off; changed one by one: as if they had been so from the beginning."""
    spheres = elements(2500, 1)
    bounds = BlockBounds(CPU)
    for end in (1, 30, 33, 1100, 2500):
        before = 0 if end == 1 else {30: 1, 33: 30, 1100: 33, 2500: 1100}[end]
        bounds.follow(spheres.select, end, before)
    check_equal(bounds, bounds_of(spheres))
    bounds.follow(spheres.select, 1501, 1501)
    check_equal(bounds, bounds_of(spheres.select(torch.arange(1501))))

    changed = torch.tensor([1499, 3, 700, 701])
    for column in spheres:
        column[changed] *= 5
    bounds.renew(spheres.select, 1501, changed)
    check_equal(bounds, bounds_of(spheres.select(torch.arange(1501))))


def test_none() -> None:
    bounds = BlockBounds(CPU)
    bounds.follow(elements(0, 2).select, 0, 0)
    assert len(bounds.blocks.radius) == len(bounds.groups.radius) == 0
    bounds.renew(elements(0, 2).select, 0, torch.empty(0, dtype=torch.int64))
