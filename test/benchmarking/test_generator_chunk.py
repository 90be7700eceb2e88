"""A chunk of the benchmark passes through the network as often as it says."""

from __future__ import annotations

import pytest
import torch

from vmem_ros.benchmarking.generator_chunk import INTERVAL, Chunk, Recipe
from vmem_ros.benchmarking.generator_models import TINY
from vmem_ros.benchmarking.generator_network import (
    difference,
)
from vmem_ros.benchmarking.generator_workload import Workload


@pytest.fixture(scope="module")
def workload():
    return Workload.of(TINY, device="cpu", dtype=torch.float64)


@pytest.mark.parametrize(
    ("recipe", "halves"),
    [
        (Recipe("published", 6), 12),
        # Every third step after the first two: 0, 1, 4.
        (Recipe("published", 6, cached=True), 6),
        (Recipe("fast", 8, interval=INTERVAL), 12),
    ],
)
def test_passes_through_the_network(workload, recipe, halves):
    chunk = Chunk(workload, None, recipe)
    for _ in range(2):
        *estimates, images = chunk.draw(recipe.steps)
        assert len(estimates) == recipe.steps
        assert chunk.halves == halves
        assert images.shape == (TINY.targets, 3, TINY.side, TINY.side)
        assert bool(images.isfinite().all())


def test_unoptimised_draws_the_same(workload):
    slow, fast = (list(Chunk(workload, None, Recipe("fast", 3, unoptimised=u)).draw(3)) for u in (True, False))
    # Between steps latents are float32.
    assert all(difference(a, b) < 1e-4 for a, b in zip(fast, slow, strict=True))
