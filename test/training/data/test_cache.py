"""Walks on disk."""

from pathlib import Path

import pytest
import torch

from training_runs import DATA
from vmem_ros.errors import TrainingDataError
from vmem_ros.training.data.cache import Cache, cache_folder
from vmem_ros.training.data.house_walks import ViewWalk
from vmem_ros.training.recipes.data import Data

DATA_RECIPE = Data(**DATA)


def test_what_is_cached_is_read_and_not_made_again(walk, tmp_path):
    made = []

    def make(number: int) -> ViewWalk:
        made.append(number)
        return walk

    cache = Cache(tmp_path, make, ViewWalk)
    cache.get(3)
    again = cache.get(3)
    assert made == [3]
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in walk.tensors().items())
    # A file that was cut short is made again.
    path = cache.path(3)
    path.write_bytes(path.read_bytes()[:1000])
    assert torch.equal(cache.get(3).images, walk.images)
    cache.get(8)
    cache.forget_before(8)
    assert [path.stem for path in sorted(tmp_path.iterdir())] == ["0000008"]


def test_a_cache_that_cannot_be_written_says_so(walk, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(TrainingDataError, match="choose another --cache"):
        Cache(blocked / "walks", lambda number: walk, ViewWalk).get(0)


def test_what_a_walk_is_names_its_folder():
    root = Path("/cache")
    assert cache_folder(root, "walks", DATA_RECIPE) == cache_folder(
        root, "walks", Data(**DATA | {"workers": 3, "window": 7})
    )
    assert cache_folder(root, "walks", DATA_RECIPE) != cache_folder(root, "walks", Data(**DATA | {"imperfect": 0.1}))
