"""Where the walks of a training come from: caches that any of its processes can open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.training.data.cache import Cache, T, TensorRecord, cache_folder
from vmem_ros.training.data.house_walks import ViewWalkFactory, WalkFactory
from vmem_ros.training.data.latent_walks import EncodedWalk
from vmem_ros.training.recipes.data import Data


@dataclass(frozen=True)
class OpenWalkCache:
    """Opens the cache of walks; picklable, for the processes that fill it.

    :param root: folder of all caches.
    """

    root: Path
    data: Data
    factory: type[WalkFactory[Any]] = ViewWalkFactory

    def __call__(self) -> list[Cache[Any]]:
        factory = self.factory(self.data)
        return [Cache(cache_folder(self.root, factory.name, self.data), factory.make, factory.kind)]


class WalkEncoder(Protocol):
    """Turns walks of pixels into what a network takes."""

    @property
    def digest(self) -> str:
        """A name that changes with what makes encoded walks other ones."""
        ...

    def encode(self, walk: Any) -> Any:
        """Return a walk encoded."""
        ...


@dataclass(frozen=True)
class OpenEncodedCaches:
    """Opens the cache of walks, and that of walks encoded with the parts of a pipeline.

    :param load_encoder: picklable.
    :param factory: of the walks, and ``kind`` of what the encoder makes of them.
    """

    root: Path
    data: Data
    load_encoder: Callable[[], WalkEncoder]
    factory: type[WalkFactory[Any]] = ViewWalkFactory
    kind: type[TensorRecord] = EncodedWalk

    def __call__(self) -> list[Cache[Any]]:
        (walks,) = OpenWalkCache(self.root, self.data, self.factory)()
        encoder = self.load_encoder()

        def make(number: int) -> Any:
            return encoder.encode(walks.get(number))

        return [walks, Cache(walks.folder / f"encoded-{encoder.digest}", make, self.kind)]


def evaluation_walks(root: Path, data: Data, count: int, factory: type[WalkFactory[T]]) -> list[T]:
    """Return ``count`` walks, each through another evaluation house, of perfect views; kept like those for training."""
    data = data.model_copy(update={"walks_per_house": 1, "imperfect": 0.0})
    walks = factory(data, houses=EVALUATION_SEEDS)
    folder = cache_folder(root, walks.name, data)
    cache = Cache(folder.with_name(f"{folder.name}-evaluation"), walks.make, walks.kind)
    return [cache.get(number) for number in range(count)]
