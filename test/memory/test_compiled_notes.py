"""What a view adds to an index: the compiled code against that of torch."""

from __future__ import annotations

import torch

from vmem_ros.memory.bounds import BlockBounds, Bounds
from vmem_ros.memory.growable import BLOCK
from vmem_ros.memory.observations import Observations, distinct
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.surfel.evidence import Evidence

CPU = torch.device("cpu")


def numbers(n: int, below: int, seed: int) -> torch.Tensor:
    return torch.randint(-1, below, (n,), generator=torch.Generator().manual_seed(seed))


def test_distinct_elements_are_the_same(both) -> None:
    for below in (5, 3000, 2_000_000_000):
        found, others = numbers(4000, below, 1), numbers(700, below, 2).abs()
        for more in (None, others, others[:0]):
            one, other = both(lambda: distinct(found, more, below, below + 3))  # noqa: B023
            assert torch.equal(one, other)
    one, other = both(lambda: distinct(found[:0], None, 7, 7))
    assert len(one) == len(other) == 0


def test_boxes_meet_the_same_views(both) -> None:
    points = torch.randn(3000, 3, generator=torch.Generator().manual_seed(3))

    def views() -> tuple[torch.Tensor, ...]:
        reach = Reach(CPU)
        for view in range(40):
            reach.append(points + view / 8, numbers(3 if view % 7 else 0, 3000, view).abs())
        reach.append(points[:50])
        return reach.near(points[:5] + 2), reach.beside(3), reach.beside(7), reach.beside(40)

    one, other = both(views)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(one, other, strict=True))
    assert 0 < len(one[0]) < 41
    assert 3 in one[1]
    assert len(one[2]) == 0
    assert 40 in one[3]


def test_bounds_are_the_same(both) -> None:
    g = torch.Generator().manual_seed(4)
    n = 3 * BLOCK**2 + 45
    spheres = Bounds(torch.randn(n, 3, generator=g), torch.rand(n, generator=g), torch.rand(n, generator=g))

    def levels() -> BlockBounds:
        bounds = BlockBounds(CPU)
        bounds.follow(spheres.select, n, 0)
        return bounds

    one, other = both(levels)
    for ours, theirs in zip((*one.blocks, *one.groups), (*other.blocks, *other.groups), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_evidence_counts_the_same(both) -> None:
    seen = [numbers(300, 500, seed).abs().unique() for seed in range(6)]

    def columns() -> list[torch.Tensor]:
        evidence, observations = Evidence(CPU), Observations(CPU)
        for view, elements in enumerate(seen):
            observations.append(elements)
            evidence.append(elements, seen[view - 1][::2], by_camera=view != 4, surfels=500 + view)
        evidence.edit(torch.tensor([3, 4]), 508)
        evidence.truncate(5, 504, observations)
        return [column.data.clone() for column in evidence._columns()]

    one, other = both(columns)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(one, other, strict=True))
    assert 0 < one[1].sum() < 500


def test_votes_are_the_same(both) -> None:
    observations = Observations(CPU)
    for view in range(300):
        observations.append(numbers(5 + 7 * view, 9000, view).abs().unique())
    weight = numbers(9000, 100_000, 5).abs()
    for views in (torch.arange(300), torch.tensor([0, 299, 150])):
        one, other = both(lambda: observations.sums(weight, views))  # noqa: B023
        assert torch.equal(one, other)
        assert (one > 0).all()
