"""The same memory on another device, or in several threads, shows and chooses the same."""

from __future__ import annotations

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(120, 80, 75)


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def worlds(request: pytest.FixtureRequest) -> tuple[World, World]:
    """Return the same world on the CPU, in one thread, and on the device, in two."""
    out = []
    before = torch.get_num_threads()
    for device, threads in (("cpu", 1), (request.param, 2)):
        torch.set_num_threads(threads)
        world = default_world(device=device)
        for T in orbit(10):
            world.observe(box_view(CAMERA, T))
        list(world.explore([Target(CAMERA, T) for T in orbit(4, radius=0.4, height=0.2)]))
        out.append(world)
    torch.set_num_threads(before)
    return out[0], out[1]


def test_surfels_are_the_same(worlds):
    one, other = (w.memory.surfels for w in worlds)
    assert len(one) == len(other)
    assert torch.allclose(one.position, other.position.cpu(), atol=1e-5)
    assert torch.allclose(one.radius, other.radius.cpu(), rtol=1e-4)


def test_projections_are_the_same(worlds):
    for T in orbit(5, radius=0.6, height=-0.1):
        one, other = (w.glimpse(Target(CAMERA, T)) for w in worlds)
        same = one.ids == other.ids.cpu()
        # A ray along the edge of a disk may fall on either side of it by rounding.
        assert same.float().mean() > 0.999
        assert torch.allclose(one.depth[same], other.depth.cpu()[same], rtol=1e-4, equal_nan=True)


def test_choices_are_the_same(worlds):
    targets = [Target(CAMERA, T) for T in orbit(5, radius=0.6)]
    one, other = (w.memory.read(targets, 4) for w in worlds)
    assert one.indices == other.indices
    assert torch.allclose(one.weights, other.weights, atol=1e-3)
