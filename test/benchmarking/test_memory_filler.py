"""Filling a memory with what it has not seen."""

from __future__ import annotations

import torch

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory

CAMERA = Camera.from_fov(64, 48, 75)


def test_it_fills_a_memory_and_knows_what_is_new() -> None:
    memory = SurfelMemory()
    filler = MemoryFiller(Building(), CAMERA, memory)
    filler.grow(views=VIEWS_PER_ROOM)
    assert len(memory) == VIEWS_PER_ROOM
    filler.grow(surfels=memory.n_surfels + 1)
    assert len(memory) == VIEWS_PER_ROOM + 1

    def share_of_new_surfels(written: tuple) -> float:
        before = memory.n_surfels
        memory.write(*written)
        added = memory.n_surfels - before
        memory.undo()
        return added / (64 * 48)

    [new], [known] = filler.new_views(1), filler.known_views(1)
    assert share_of_new_surfels(new) > 4 * share_of_new_surfels(known)
    stored = [v.T_world_camera for v in memory.views]
    asked = [t.T_world_camera for targets in filler.asks(3, chunk=2) for t in targets]
    assert len(asked) == 6
    assert not any(torch.equal(a, s) for a in asked for s in stored)
