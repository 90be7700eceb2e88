"""The same memory on another device shows and chooses the same."""

from __future__ import annotations

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.types import PointMap, Target

pytestmark = pytest.mark.gpu
CAMERA = Camera.from_fov(120, 80, 75)


def test_on_a_gpu() -> None:
    one, other = (load_memory("latent", device=device) for device in ("cpu", "cuda"))
    for number, T in enumerate(orbit(10)):
        view = box_view(CAMERA, T).having(latent=torch.full((3, 10, 15), float(number)))
        found = PointMap.from_depth(view.depth, torch.ones_like(view.depth), CAMERA, T)
        for memory in (one, other):
            memory.write([view], [found])
    assert dict(one.figures()) == dict(other.figures())
    for T in orbit(5, radius=0.6, height=-0.1):
        a, b = (memory.project(Target(CAMERA, T)) for memory in (one, other))
        same = a.ids == b.ids.cpu()
        # By rounding a point may fall on either side of a border.
        assert same.float().mean() > 0.99
        assert torch.allclose(a.depth[same], b.depth.cpu()[same], rtol=1e-3, equal_nan=True)
        assert (a.features_seen == b.features_seen.cpu()).float().mean() > 0.98
        assert (a.features == b.features.cpu()).float().mean() > 0.95
    targets = [Target(CAMERA, T) for T in orbit(5, radius=0.6)]
    assert one.read(targets, 4).indices == other.read(targets, 4).indices
    other.undo(10)
    assert len(other) == 0
