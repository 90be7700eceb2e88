"""Every method in one house: the same given views, poses, noise and truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.evaluation.ablation import Method, build_world
from vmem_ros.evaluation.courses import Course, CourseName, house_courses
from vmem_ros.evaluation.protocols import nearest_view
from vmem_ros.evaluation.scores import Scores, score
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import Generator, PointMapEstimator
from vmem_ros.scenes import House
from vmem_ros.types import PointMap, Recall, View

#: Depth of new views: that of memory, continued into the holes; or ``exact``, that of the house, which leaves only
#: the generator to blame.
Depth = Literal["memory", "exact"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked in every house; see :func:`~vmem_ros.evaluation.courses.house_courses`."""

    poses: int
    loop: int
    size: int
    depth: Depth = "memory"
    device: str = "cpu"

    @property
    def views(self) -> int:
        """Views that a method draws in a house."""
        return self.loop + 2 * self.poses


@dataclass(frozen=True, eq=False)
class HouseStudy:
    """What came out in one house.

    :param answers: pictures by method and course, in the order of the poses.
    """

    seed: int
    courses: Sequence[Course]
    answers: Mapping[str, Mapping[CourseName, Sequence[Tensor]]]
    scores: Mapping[str, Scores]


class ExactDepth:
    """The depth of a house itself: no estimator can be better."""

    name = "exact"
    reads_pictures = True

    def __init__(self, house: House) -> None:
        self._house = house

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; see :class:`vmem_ros.protocols.PointMapEstimator`."""
        maps = []
        for view in views:
            depth = self._house.render(view.target).depth.to(view.image.device)
            maps.append(PointMap.from_depth(depth, torch.ones_like(depth), view.camera, view.T_world_camera))
        return maps


def study_house(
    seed: int,
    methods: Sequence[Method],
    generator: Generator,
    plan: Plan,
    *,
    on_view: Callable[[], None] = lambda: None,
) -> HouseStudy:
    """Return what each method answered in a house, and its figures.

    :param on_view: called after each view that a method answered.
    """
    house = House(seed)
    courses = house_courses(house, poses=plan.poses, loop=plan.loop, size=plan.size)
    answers, scores = {}, {}
    for method in methods:
        started = time.perf_counter()
        answers[method.name] = {
            course.name: _answer(method, course, house, generator, plan, on_view) for course in courses
        }
        seconds = time.perf_counter() - started
        scores[method.name] = score(courses, answers[method.name], seconds_per_view=seconds / plan.views)
    return HouseStudy(seed, courses, answers, scores)


def _answer(
    method: Method, course: Course, house: House, generator: Generator, plan: Plan, on_view: Callable[[], None]
) -> list[Tensor]:
    """Return a method's pictures at the poses of a course."""
    pictures = []
    if method.engine == "copy":
        for target in course.targets:
            pictures.append(nearest_view(target, [course.start]).image)
            on_view()
        return pictures
    estimator: PointMapEstimator = ExactDepth(house) if plan.depth == "exact" else MemoryDepth()
    world = build_world(method, generator, estimator, device=plan.device)
    world.seed(course.start)
    # The noise is that of the house, so that methods differ in nothing else.
    for frame in world.explore(course.targets, seed=house.seed):
        pictures.append(frame.view.image.cpu())
        on_view()
    return pictures
