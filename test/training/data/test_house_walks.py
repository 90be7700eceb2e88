"""Walks through houses as memory sees them."""

import pytest
import torch

from training_runs import DATA
from vmem_ros.scenes import EVALUATION_SEEDS, TRAINING_SEEDS, House
from vmem_ros.training.data.cache import cache_folder
from vmem_ros.training.data.house_walks import ViewWalk, ViewWalkFactory
from vmem_ros.training.recipes.data import Data

DATA_RECIPE = Data(**DATA)


def with_data(**fields) -> ViewWalkFactory:
    return ViewWalkFactory(Data(**DATA | fields))


def test_equal_numbers_make_equal_walks_and_others_do_not(factory, walk):
    again, other = factory.make(1), factory.make(2)
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in walk.tensors().items())
    assert not torch.equal(walk.images, other.images)


@pytest.mark.slow
def test_a_walk_shows_the_house_from_its_poses(walk):
    truth = House(TRAINING_SEEDS[0]).render((walk.camera, walk.poses[5])).image
    assert torch.equal(walk.images[5], truth)
    assert len(walk.images) == 1 + DATA_RECIPE.chunks * DATA_RECIPE.chunk


def test_memory_shows_and_recalls_only_what_was_before(walk):
    assert not walk.shown[~walk.seen].any()
    for chunk, recalled in enumerate(walk.recalled):
        known = recalled[recalled >= 0]
        assert len(known) >= 1
        assert bool(((walk.written[known] >= 0) & (walk.written[known] <= chunk)).all())
        assert int(known.max()) < 1 + chunk * DATA_RECIPE.chunk
    # What is remembered resembles the truth where it is seen.
    error = (walk.shown.float() - walk.images[1:].float()).abs().mean(dim=-1)
    assert float(error[walk.seen].mean()) < 0.5 * float((walk.images[1:].float() - 127).abs().mean())


def test_a_forgetful_walk_keeps_only_its_first_view():
    forgetful = with_data(remembered=[0.0, 0.0]).make(1)
    assert forgetful.written.tolist() == [0] + [-1] * 16
    assert forgetful.recalled[:, 1:].eq(-1).all()


@pytest.mark.slow
def test_training_and_evaluation_walk_through_different_houses():
    assert not set(TRAINING_SEEDS) & set(EVALUATION_SEEDS)
    evaluation = ViewWalkFactory(Data(**DATA | {"walks_per_house": 1}), houses=EVALUATION_SEEDS).make(0)
    truth = House(EVALUATION_SEEDS[0]).render((evaluation.camera, evaluation.poses[0])).image
    assert torch.equal(evaluation.images[0], truth)


def test_imperfect_views_are_remembered_worse(walk):
    perfect, imperfect = (ViewWalkFactory(Data(**DATA | {"imperfect": share})).make(1) for share in (0.0, 1.0))

    def error(made: ViewWalk) -> float:
        difference = (made.shown.float() - made.images[1:].float()).abs().mean(dim=-1)
        return float(difference[made.seen].mean())

    assert error(imperfect) > 1.2 * error(perfect)


@pytest.mark.slow
def test_walks_by_day_and_in_the_evening_are_kept_apart(tmp_path):
    evening = Data(time_of_day="evening")
    assert cache_folder(tmp_path, "walks", evening) != cache_folder(tmp_path, "walks", Data())
    day, dark = (ViewWalkFactory(Data(**DATA | {"time_of_day": time})).make(0) for time in ("day", "evening"))
    assert torch.equal(day.poses, dark.poses)
    assert float(dark.images.float().mean()) < 0.9 * float(day.images.float().mean())
