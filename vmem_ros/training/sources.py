"""Where the walks of a training come from: caches that any of its processes can open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.training.cache import Cache, cache_folder
from vmem_ros.training.encoding import EncodedWalk, Encoder
from vmem_ros.training.recipes import Data
from vmem_ros.training.walks import Walk, WalkMaker


@dataclass(frozen=True)
class PixelCaches:
    """Opens the cache of walks.

    :param root: folder of all caches.
    """

    root: Path
    data: Data

    def __call__(self) -> list[Cache[Any]]:
        return [Cache(cache_folder(self.root, self.data), WalkMaker(self.data).make, Walk)]


@dataclass(frozen=True)
class EncodedCaches:
    """Opens the cache of walks, and that of walks encoded with the parts of a pipeline.

    :param load_encoder: picklable.
    """

    root: Path
    data: Data
    load_encoder: Callable[[], Encoder]

    def __call__(self) -> list[Cache[Any]]:
        (walks,) = PixelCaches(self.root, self.data)()
        encoder = self.load_encoder()

        def make(number: int) -> EncodedWalk:
            return encoder.encode(walks.get(number))

        return [walks, Cache(walks.folder / f"encoded-{encoder.digest}", make, EncodedWalk)]


def evaluation_walks(root: Path, data: Data, count: int) -> list[Walk]:
    """Return walks through as many evaluation houses, of perfect views; kept like those for training."""
    data = dataclasses.replace(data, walks_per_house=1, imperfect=0.0)
    folder = cache_folder(root, data).with_name(f"{cache_folder(root, data).name}-evaluation")
    cache = Cache(folder, WalkMaker(data, houses=EVALUATION_SEEDS).make, Walk)
    return [cache.get(number) for number in range(count)]
