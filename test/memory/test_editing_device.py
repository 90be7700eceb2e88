"""Edits on another device remove and add the same."""

from __future__ import annotations

import pytest

from memory_editing import BOX, FACING, pink, sheet
from memory_subject import VIEWS
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.world import World


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["surfel", "points"])
def test_edits_are_the_same(kind: str) -> None:
    worlds = [
        World(load_memory(kind, device=device), ReprojectionGenerator(), MemoryDepth()) for device in ("cpu", "cuda")
    ]
    for world in worlds:
        for view in VIEWS:
            world.observe(view)
    here, there = (world.edit(remove=[BOX], add=sheet()) for world in worlds)
    assert there.pixels == pytest.approx(here.pixels, rel=0.01)
    assert there.removed == pytest.approx(here.removed, rel=0.02)
    assert (there.added, there.views) == (here.added, here.views)
    one, other = (world.glimpse(FACING) for world in worlds)
    assert (pink(one.image) == pink(other.image.cpu())).float().mean() > 0.99
    for world in worlds:
        world.undo()
    one, other = (world.glimpse(FACING) for world in worlds)
    assert (one.seen == other.seen.cpu()).float().mean() > 0.99
