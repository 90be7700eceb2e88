"""Every method in one house: the same given views, poses, noise and truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.evaluation.ablation_methods import Method, build_world
from vmem_ros.evaluation.benchmark_paths import EvaluationPath, PathName, benchmark_paths
from vmem_ros.evaluation.consistency import nearest_view
from vmem_ros.evaluation.scores import Scores, score
from vmem_ros.protocols import Generator, PointMapEstimator
from vmem_ros.scenes import House
from vmem_ros.types import PointMap, Recall, View
from vmem_ros.world import World


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """What is asked in every house; see :func:`~vmem_ros.evaluation.benchmark_paths.benchmark_paths`."""

    poses: int
    loop: int
    size: int
    device: str = "cpu"

    @property
    def views(self) -> int:
        """Views that a method draws in a house."""
        return self.loop + 2 * self.poses


@dataclass(frozen=True, eq=False)
class HouseResult:
    """What came out in one house.

    :param answers: pictures by method and course, in the order of the poses.
    """

    seed: int
    courses: Sequence[EvaluationPath]
    answers: Mapping[str, Mapping[PathName, Sequence[Tensor]]]
    scores: Mapping[str, Scores]


class ExactDepth:
    """The depth of a house itself: no estimator can be better, so only the generator is to blame."""

    name = "exact"
    uses_image = True

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
    plan: AblationConfig,
    *,
    on_view: Callable[[], None] = lambda: None,
) -> HouseResult:
    """Return what each method answered in a house, and its figures.

    :param estimator: of the depth of new views; ``None``: that of the house itself.
    :param on_view: called after each view that a method answered.
    """
    house = House(seed)
    courses = benchmark_paths(house, poses=plan.poses, loop=plan.loop, size=plan.size)
    estimator = estimator or ExactDepth(house)
    answers, scores = {}, {}
    for method in methods:
        found: dict[PathName, list[Tensor]] = {}
        started = time.perf_counter()
        for course in courses:
            copies = method.engine == "copy"
            world = None if copies else build_world(method, generator, estimator, device=plan.device)
            found[course.name] = list(_answer(world, course, seed, on_view))
        seconds = time.perf_counter() - started
        answers[method.name] = found
        scores[method.name] = score(courses, found, seconds_per_view=seconds / plan.views)
    return HouseResult(seed, courses, answers, scores)


def _answer(world: World | None, course: EvaluationPath, seed: int, on_view: Callable[[], None]) -> Iterator[Tensor]:
    """Yield the pictures at the poses of a course: of an empty world, or copied from the given view without one.

    :param seed: of the noise; that of the house, so that methods differ in nothing else.
    """
    if world is None:
        pictures = (nearest_view(target, [course.start]).image for target in course.targets)
    else:
        world.seed(course.start)
        pictures = (frame.view.image.cpu() for frame in world.explore(course.targets, seed=seed))
    for picture in pictures:
        yield picture
        on_view()
