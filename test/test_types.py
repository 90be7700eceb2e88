"""Views bring their fields into one form, whoever makes them."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import pytest
import torch

from rooms import box_view
from vmem_ros.errors import InvalidImageError, InvalidPoseError
from vmem_ros.generation.reprojection import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import END_OF_TIME_NS, MAX_DEPTH_M, PointMap, Target, View
from vmem_ros.world import World

SEEN = box_view(Camera.from_fov(96, 72, 80), look_at((-1.0, 0.0, 0.0), (3.0, 0.0, 0.0)))


@pytest.mark.parametrize("value", [0.0, -1.0, -math.inf, math.nan, 1e20, 3e38, MAX_DEPTH_M * 1.01])
def test_what_is_no_depth_is_unknown(value: float) -> None:
    depth = torch.full((72, 96), 2.0)
    depth[0], depth[1] = value, math.inf
    known = SEEN.having(depth=depth).depth
    assert torch.isnan(known[0]).all()
    assert torch.isinf(known[1]).all()
    assert torch.equal(known[2:], depth[2:])


def test_absurd_depths_do_not_hide_the_others() -> None:
    world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
    absurd = torch.rand(72, 96, generator=torch.Generator().manual_seed(0)) < 1 / 3
    world.observe(SEEN.having(depth=torch.where(absurd, 1e20, SEEN.depth)))
    shown = world.glimpse(SEEN.target).depth
    known = ~absurd & torch.isfinite(shown)
    assert known.float().mean() > 0.6
    torch.testing.assert_close(shown[known], SEEN.depth[known], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("stamp_ns", [-1, END_OF_TIME_NS, 10**30])
def test_times_that_no_message_can_say_are_refused(stamp_ns: int) -> None:
    """They would wrap around in messages, and no file with them would load."""
    for make in (
        lambda: View(SEEN.image, SEEN.camera, SEEN.T_world_camera, stamp_ns=stamp_ns),
        lambda: SEEN.having(stamp_ns=stamp_ns),
        lambda: Target(SEEN.camera, SEEN.T_world_camera, stamp_ns),
    ):
        with pytest.raises(InvalidPoseError, match="is no time"):
            make()
    assert SEEN.having(stamp_ns=END_OF_TIME_NS - 1).stamp_ns // 10**9 == 2**31 - 1


class TestPointMap:
    depth = torch.tensor([[1.0, torch.nan, 2.0], [torch.inf, 0.0, -1.0]])
    camera = Camera([[2.0, 0, 1.2], [0, 3.0, 0.9], [0, 0, 1]], 3, 2)

    def test_points_lie_on_the_rays_of_their_pixels(self):
        found = PointMap.from_depth(self.depth, torch.full((2, 3), 0.5), self.camera, torch.eye(4))
        assert torch.allclose(found.points[0, 2], torch.tensor([(2.5 - 1.2) / 2 * 2, (0.5 - 0.9) / 3 * 2, 2.0]))
        assert found.confidence.tolist() == [[0.5, 0, 0.5], [0, 0, 0]]
        assert found.depth[1, 0] == torch.inf
        assert found.points[1, 0, :2].isnan().all()
        assert found.points[1, 1:].isnan().all()

    def test_compiled_code_says_the_same(self, both):
        g = torch.Generator().manual_seed(0)
        camera = Camera.from_fov(83, 37, 70)
        depth = 4 * torch.rand(camera.size, generator=g) - 0.5
        depth[torch.rand(depth.shape, generator=g) < 0.2] = torch.nan
        depth[3:5] = torch.inf
        confidence = torch.rand(camera.size, generator=g)
        one, other = both(lambda: PointMap.from_depth(depth, confidence, camera, torch.eye(4)))
        assert torch.equal(one.confidence, other.confidence)
        torch.testing.assert_close(one.points, other.points, rtol=1e-6, atol=0, equal_nan=True)

    def test_points_are_made_when_they_are_asked_for(self):
        made = PointMap.from_depth(self.depth, torch.ones(2, 3), self.camera, torch.eye(4))
        moved = made.on(torch.device("cpu"), copy=True)
        assert made.shape == moved.shape == (2, 3, 3)
        assert "points" not in vars(made)
        changed = dataclasses.replace(copy.deepcopy(made), confidence=torch.zeros(2, 3))
        for other in (moved, copy.copy(made), pickle.loads(pickle.dumps(made)), changed):
            assert torch.equal(other.points.nan_to_num(nan=-1), made.points.nan_to_num(nan=-1))
            assert torch.equal(other.depth.nan_to_num(nan=-1), made.depth.nan_to_num(nan=-1))
        with pytest.raises(AttributeError, match="nothing"):
            _ = made.nothing
        with pytest.raises(AttributeError, match="nothing"):
            _ = changed.nothing


def test_other_values_of_some_fields_are_checked_alone():
    view = View(torch.zeros(2, 3, 3, dtype=torch.uint8), TestPointMap.camera, torch.eye(4), TestPointMap.depth)
    other = view.having(confidence=torch.ones(2, 3), source="generated")
    assert (other.source, view.source, view.confidence) == ("generated", "observed", None)
    assert other.depth is view.depth
    with pytest.raises(InvalidImageError, match="confidence"):
        view.having(confidence=torch.ones(3, 2))
    with pytest.raises(InvalidImageError, match="intrinsics are for"):
        view.having(camera=Camera.from_fov(4, 2, 60))
    with pytest.raises(InvalidPoseError):
        view.having(T_world_camera=2 * torch.eye(4))
    assert view.having(depth=torch.zeros(2, 3)).depth.isnan().all()
