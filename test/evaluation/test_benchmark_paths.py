"""Paths through a house, what is unseen along them, and the exact depth of the house."""

import pytest
import torch

from memories import memory_of
from vmem_ros.evaluation.ablation_run import ExactDepth
from vmem_ros.evaluation.benchmark_paths import benchmark_paths
from vmem_ros.geometry import Camera
from vmem_ros.types import Target, View


@pytest.fixture(scope="module")
def paths(house):
    return benchmark_paths(house, poses=12, loop=8, size=32)


def test_the_loop_ends_where_it_starts_and_the_way_back_is_the_way_out(paths):
    loop, walk = paths
    assert len(loop.truths) == 8
    assert torch.equal(loop.truths[-1].T_world_camera, loop.start.T_world_camera)
    assert len(walk.truths) == 24
    for i in range(12):
        assert torch.equal(walk.truths[i].T_world_camera, walk.truths[23 - i].T_world_camera)
    assert not torch.equal(walk.truths[0].T_world_camera, walk.start.T_world_camera)
    assert walk.walked_m[11] == walk.walked_m[12]
    assert walk.walked_m.diff().min() >= 0


def test_more_and_more_is_unseen_on_the_way_and_nothing_at_the_start(paths):
    loop, walk = paths
    share = [float(unseen.float().mean()) for unseen in walk.unseen]
    assert share[0] < 0.3
    assert max(share) > 0.6
    assert share == share[::-1]
    # The pose of the given view itself.
    assert not bool(loop.unseen[-1].any())


def test_exact_depth_is_that_of_the_house(house):
    camera = Camera.from_fov(32, 32, 75)
    truth = house.view(Target(camera, house.loop(5)[1]))
    drawn = View(torch.zeros_like(truth.image), camera, truth.T_world_camera, source="generated")
    [found] = ExactDepth(house).estimate([drawn], memory_of([truth]).read([truth.target], 1))
    assert torch.allclose(found.depth, truth.depth, equal_nan=True)
    assert ExactDepth(house).metric
