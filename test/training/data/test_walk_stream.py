"""Walks made beside a training."""

import time

import pytest
import torch

from training_runs import DATA
from vmem_ros.errors import TrainingDataError
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.data import Data

DATA_RECIPE = Data(**DATA)


def test_a_walk_that_was_cut_short_is_made_again(tmp_path):
    data = Data(**DATA)
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    path = walks.open(0, sample=0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert walks.open(0, sample=0).read_bytes() == whole


@pytest.mark.slow
def test_workers_make_no_walks_that_the_training_has_left(tmp_path):
    data = Data(**DATA | {"workers": 1, "window": 2, "samples_per_walk": 1})
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    try:
        walks.get(0, sample=0)
        # A training that goes on asks for the first samples, and then for those of where it was.
        before = time.monotonic()
        walks.get(3001, sample=3000)
        assert walks._passed[0] > 3000
    finally:
        walks.close()
    made = len(list(walks.folder.glob("[0-9]*.safetensors")))
    assert made < 200, f"{made} walks in {time.monotonic() - before:.0f} s"


@pytest.mark.slow
def test_walks_are_made_by_other_processes(tmp_path):
    data = Data(**DATA | {"workers": 1})
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    try:
        made = walks.get(1, sample=0)
        assert (walks.folder / "0000000.safetensors").exists(), "the worker begins with the first"
    finally:
        walks.close()
    expected = ViewWalkFactory(data).make(1)
    assert all(torch.equal(tensor, expected.tensors()[name]) for name, tensor in made.tensors().items())


@pytest.mark.slow
def test_what_ends_a_worker_ends_the_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    data = Data(**DATA | {"workers": 1})
    walks = WalkStream(OpenWalkCache(blocked, data), data)
    with pytest.raises(TrainingDataError, match=r"cannot keep training data in .*file"):
        walks.get(0, sample=0)


def test_the_window_moves_on(tmp_path):
    data = Data(**DATA | {"first_walks": 3, "samples_per_walk": 10, "window": 4})
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    assert [walks.window(n) for n in (0, 9, 10, 35)] == [range(3), range(3), range(4), range(2, 6)]
