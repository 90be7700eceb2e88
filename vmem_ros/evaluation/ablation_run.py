"""Every method of the ablation in one house: the same given views, poses, noise and truth."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from vmem_ros.evaluation.ablation_methods import Method, build_world
from vmem_ros.evaluation.benchmark_paths import EvaluationPath, PathName, benchmark_paths
from vmem_ros.evaluation.nearest_view import nearest_view
from vmem_ros.evaluation.scores import Answer, Scores, score
from vmem_ros.protocols import Generator, Memory, PointMapEstimator
from vmem_ros.scenes import House
from vmem_ros.types import PointMap, Recall, View
from vmem_ros.world import Frame, World


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """What is asked in every house; see :func:`~vmem_ros.evaluation.benchmark_paths.benchmark_paths`."""

    poses: int
    loop: int
    size: int

    @property
    def views(self) -> int:
        """Views that a method draws in a house."""
        return self.loop + 2 * self.poses


@dataclass(frozen=True, eq=False)
class HouseResult:
    """What came out in one house.

    :param answers: by method and path, in the order of the poses.
    """

    seed: int
    paths: Sequence[EvaluationPath]
    answers: Mapping[str, Mapping[PathName, Sequence[Answer]]]
    scores: Mapping[str, Scores]


class ExactDepth:
    """The depth of a house itself: no estimator can be better, so only the generator is to blame."""

    name = "exact"
    uses_image = True
    metric = True

    def __init__(self, house: House) -> None:
        self._house = house

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; see :class:`vmem_ros.protocols.PointMapEstimator`."""
        maps = []
        for view in views:
            depth = self._house.render(view.target).depth.to(view.image.device)
            maps.append(PointMap.from_depth(depth, torch.ones_like(depth), view.camera, view.T_world_camera))
        return maps


def evaluate_house(
    seed: int,
    methods: Sequence[Method],
    generator: Generator,
    estimator: PointMapEstimator | None,
    memory: Memory,
    config: AblationConfig,
    *,
    on_view: Callable[[], None] = lambda: None,
) -> HouseResult:
    """Return what each method answered in a house, and its figures.

    :param generator: the engine that is judged.
    :param estimator: of the depth of new views; ``None``: that of the house itself.
    :param memory: of the kind that is judged; each world gets an empty copy.
    :param on_view: called after each view that a method answered.
    """

    def world_of(method: Method, depth: PointMapEstimator) -> World | None:
        copies = method.engine == "copy"
        return None if copies else build_world(method, generator, depth, memory.empty_copy())

    worlds = {method.name: functools.partial(world_of, method) for method in methods}
    return evaluate_worlds(seed, worlds, estimator, config, on_view=on_view)


def evaluate_worlds(
    seed: int,
    worlds: Mapping[str, Callable[[PointMapEstimator], World | None]],
    estimator: PointMapEstimator | None,
    config: AblationConfig,
    *,
    on_view: Callable[[], None] = lambda: None,
) -> HouseResult:
    """Return what each of several worlds answered in a house, and its figures.

    :param worlds: by the name of the method, what makes an empty world with an estimator, for each path a new one;
        ``None``: each pose is answered by the nearest view that a camera took.
    :param estimator: of the depth of new views; ``None``: that of the house itself.
    :param on_view: called after each view that a method answered.
    """
    house = House(seed)
    paths = benchmark_paths(house, poses=config.poses, loop=config.loop, size=config.size)
    estimator = estimator or ExactDepth(house)
    answers, scores = {}, {}
    for name, make_world in worlds.items():
        found: dict[PathName, list[Answer]] = {}
        started = time.perf_counter()
        for path in paths:
            found[path.name] = list(_answer(make_world(estimator), path, seed, on_view))
        seconds = time.perf_counter() - started
        answers[name] = found
        scores[name] = score(paths, found, seconds_per_view=seconds / config.views)
    return HouseResult(seed, paths, answers, scores)


def _answer(world: World | None, path: EvaluationPath, seed: int, on_view: Callable[[], None]) -> Iterator[Answer]:
    """Yield the answers at the poses of a path: of an empty world, or copied from the given view without one.

    :param seed: of the noise; that of the house, so that methods differ in nothing else.
    """
    if world is None:
        answers = (Answer(nearest_view(target, [path.start]), None) for target in path.targets)
    else:
        world.seed(path.start)
        answers = (_answer_of(frame) for frame in world.explore(path.targets, seed=seed))
    for answer in answers:
        yield answer
        on_view()


def _answer_of(frame: Frame) -> Answer:
    """Return what is judged of a frame, on the CPU."""
    view, depth = frame.view, frame.view.depth
    kept = View(
        image=view.image.cpu(),
        camera=view.camera,
        T_world_camera=view.T_world_camera,
        depth=None if depth is None else depth.cpu(),
        source=view.source,
    )
    return Answer(kept, frame.confidence.cpu())
