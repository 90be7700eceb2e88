"""Walks with true depth and what memory showed of it."""

import pytest
import torch

from training_runs import DATA
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.training.data.depth_walks import DepthWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache, evaluation_walks
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import Target


@pytest.fixture(scope="module")
def depth_walk():
    return DepthWalkFactory(Data(**DATA)).make(1)


def test_depth_is_that_of_the_house_where_memory_showed_it(depth_walk):
    both = torch.isfinite(depth_walk.remembered.float())
    assert both[1:].float().mean() > 0.3
    # Half of the remembered views are wrong by some 3 %; an edge may lie a pixel aside.
    error = (depth_walk.remembered.float() / depth_walk.depth.float() - 1).abs()[both]
    assert error.median() < 0.03


def test_nothing_is_remembered_at_first(depth_walk):
    assert depth_walk.remembered[0].isnan().all()


def test_they_do_not_disturb_the_walks_of_the_generator(cache):
    data = Data(**DATA)
    assert OpenWalkCache(cache, data, DepthWalkFactory)()[0].folder != OpenWalkCache(cache, data)()[0].folder


def test_evaluation_walks_are_in_houses_that_are_not_trained_on(cache):
    (walk,) = evaluation_walks(cache, Data(**DATA), 1, DepthWalkFactory)
    views, _ = DepthWalkFactory(Data(**DATA | {"walks_per_house": 1}), houses=EVALUATION_SEEDS).views(0)
    truth = House(EVALUATION_SEEDS[0]).view(Target(walk.camera, views[3].T_world_camera))
    assert torch.equal(walk.images[3], truth.image)
