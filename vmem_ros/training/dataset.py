"""Where the walks of a training come from: caches that any of its processes can open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.training.cache import Cache, T, cache_folder
from vmem_ros.training.house_walks import Maker, WalkMaker
from vmem_ros.training.latent_walks import EncodedWalk, Encoder
from vmem_ros.training.recipes import Data


@dataclass(frozen=True)
class WalkCaches:
    """Opens the cache of walks; picklable, for the processes that fill it.

    :param root: folder of all caches.
    """

    root: Path
    data: Data
    maker: type[Maker[Any]] = WalkMaker

    def __call__(self) -> list[Cache[Any]]:
        maker = self.maker(self.data)
        return [Cache(cache_folder(self.root, maker.name, self.data), maker.make, maker.kind)]


@dataclass(frozen=True)
class EncodedCaches:
    """Opens the cache of walks, and that of walks encoded with the parts of a pipeline.

    :param load_encoder: picklable.
    """

    root: Path
    data: Data
    load_encoder: Callable[[], Encoder]

    def __call__(self) -> list[Cache[Any]]:
        (walks,) = WalkCaches(self.root, self.data)()
        encoder = self.load_encoder()

        def make(number: int) -> EncodedWalk:
            return encoder.encode(walks.get(number))

        return [walks, Cache(walks.folder / f"encoded-{encoder.digest}", make, EncodedWalk)]


def evaluation_walks(root: Path, data: Data, count: int, maker: type[Maker[T]]) -> list[T]:
    """Return walks through as many evaluation houses, of perfect views; kept like those for training."""
    data = dataclasses.replace(data, walks_per_house=1, imperfect=0.0)
    made = maker(data, houses=EVALUATION_SEEDS)
    folder = cache_folder(root, made.name, data)
    cache = Cache(folder.with_name(f"{folder.name}-evaluation"), made.make, made.kind)
    return [cache.get(number) for number in range(count)]
