"""The same work on many items, each done by one of a few actors; what is lost is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

from vmem_ros.fleet.cluster import import_ray

T = TypeVar("T")
R = TypeVar("R")


class _Worker(Generic[T, R]):
    """Makes its function once, and calls it for item after item."""

    def __init__(self, make: Callable[[], Callable[[T], R]], threads: int) -> None:
        torch.set_num_threads(threads)
        self._work = make()

    def work(self, item: T) -> R:
        return self._work(item)


def ordered_map(
    make: Callable[[], Callable[[T], R]], items: Sequence[T], *, workers: int, threads: int, gpus: float = 0
) -> Iterator[R]:
    """Yield what a function returns for each item, in their order, worked out on the cluster that is connected.

    An item whose node is lost is worked out anew on another one, so equal items must give equal results.

    :param make: returns the function; called once by each worker, and found by its name there.
    :param workers: actors at most.
    :param threads: of torch in each, and CPUs that Ray counts for it.
    :param gpus: that each gets.
    """
    ray = import_ray()
    from ray.util import ActorPool

    options = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD"}
    worker = ray.remote(_Worker).options(num_cpus=threads, num_gpus=gpus, **options)
    actors = [worker.remote(make, threads) for _ in range(min(workers, len(items)))]
    try:
        yield from ActorPool(actors).map(lambda actor, item: actor.work.remote(item), items)
    finally:
        for actor in actors:
            ray.kill(actor)
