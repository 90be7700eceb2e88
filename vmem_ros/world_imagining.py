"""Imagining: what would be seen along several candidate paths, drawn from one world that stays as it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.errors import CancelledError, InvalidPoseError
from vmem_ros.memory import MemoryVersion
from vmem_ros.protocols import DrawsTogether, Generator, IgnoresSeeds, OnStep, ShouldStop
from vmem_ros.types import Target, View
from vmem_ros.world_step import Frame, Progress, Step


@dataclass(frozen=True)
class Figures:
    """What an imagined view says, or a whole path.

    :param remembered: share of its pixels that memory showed.
    :param confidence: mean of the confidence of its pixels (:attr:`Frame.confidence`).
    :param nearest_depth_m: smallest depth in it; NaN: none is known.
    :param disagreement: how much two draws with different seeds differ: mean difference of their colours, 0 equal, 1
        black against white. What memory shows is the same in both. NaN: there is no second draw.
    """

    remembered: float
    confidence: float
    nearest_depth_m: float
    disagreement: float

    @classmethod
    def of_path(cls, views: Sequence[Figures]) -> Figures:
        """Return the means of the views of a path, and the smallest depth along the whole way."""
        depths = [view.nearest_depth_m for view in views if not math.isnan(view.nearest_depth_m)]
        return cls(
            _mean([view.remembered for view in views]),
            _mean([view.confidence for view in views]),
            min(depths, default=math.nan),
            _mean([view.disagreement for view in views]),
        )


@dataclass(frozen=True, eq=False)
class ImaginedView:
    """One view of a path that was only imagined.

    :param path: number of its path, from 0.
    :param number: of the view in the path, from 0.
    """

    path: int
    number: int
    frame: Frame
    figures: Figures


@dataclass(frozen=True, eq=False)
class ImaginedPath:
    """The views of one path in order."""

    views: tuple[ImaginedView, ...]

    @property
    def figures(self) -> Figures:
        """Those of all views together."""
        return Figures.of_path([view.figures for view in self.views])


def as_paths(count: int, views: Iterable[ImaginedView]) -> list[ImaginedPath]:
    """Return views that come in any order as ``count`` paths."""
    found: list[list[ImaginedView]] = [[] for _ in range(count)]
    for view in views:
        found[view.path].append(view)
    return [ImaginedPath(tuple(sorted(path, key=lambda view: view.number))) for path in found]


def imagine_views(
    version: MemoryVersion,
    how: Step,
    paths: Sequence[Sequence[Target]],
    *,
    chunk: int,
    prompt: str | None,
    seed: int | None,
    two_seeds: bool,
    together: int | None,
    on_progress: Callable[[Progress], None] | None,
    should_stop: ShouldStop | None,
) -> Iterator[ImaginedView]:
    """Yield the views of all paths, chunk after chunk; see :meth:`vmem_ros.world.World.imagine_views`.

    :param version: what is remembered; it stays as it is.
    :param chunk: views of a path that are drawn together.
    """
    if not paths:
        raise InvalidPoseError("there are no paths: give at least one")
    if empty := [number for number, path in enumerate(paths, 1) if not len(path)]:
        raise InvalidPoseError(f"path {empty[0]} of {len(paths)} has no poses: give each at least one")
    if together is not None and together < 1:
        raise ValueError(f"together must be at least 1, got {together}")
    draws = 2 if two_seeds and not isinstance(how.generator, IgnoresSeeds) else 1
    most = len(paths) if isinstance(how.generator, DrawsTogether) else 1
    most = most if together is None else min(most, max(1, together // draws))
    total, done = sum(map(len, paths)), 0
    branches = [[version.branch() for _ in range(draws)] for _ in paths]
    try:
        for start in range(0, max(map(len, paths)), chunk):
            for group in _groups([number for number, path in enumerate(paths) if len(path) > start], most):
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after {done} of {total} views")
                jobs = [
                    [
                        _Job(branch, how, paths[number], start, chunk, seed, draw)
                        for draw, branch in enumerate(branches[number])
                    ]
                    for number in group
                ]
                views = sum(len(path[0].targets) for path in jobs)

                def on_step(step: int, steps: int, first: int = done + 1, views: int = views) -> None:
                    if on_progress is not None:
                        on_progress(Progress(first, total, step, steps, views))

                _draw(how.generator, list(itertools.chain.from_iterable(jobs)), prompt, on_step, should_stop)
                for number, path in zip(group, jobs, strict=True):
                    yield from _compared(number, start, [job.frames() for job in path])
                done += views
    finally:
        for branch in itertools.chain.from_iterable(branches):
            branch.release()


class _Job:
    """One chunk of one draw of a path.

    :param branch: what is remembered of the path so far; only this draw adds to it.
    :param start: number of the first view of the chunk in the path.
    :param draw: number of the draw.
    """

    def __init__(
        self,
        branch: MemoryVersion,
        how: Step,
        path: Sequence[Target],
        start: int,
        chunk: int,
        seed: int | None,
        draw: int,
    ) -> None:
        self.targets = path[start : start + chunk]
        self.drawn: Sequence[View] = ()
        self._branch = branch
        self._how = how
        self._goes_on = start + chunk < len(path)
        self._first_draw = draw == 0
        # As explore counts; the complement of a seed that counts from 0 is no other draw's.
        chosen = None if seed is None else seed + start
        self._draft = how.draft(branch, self.targets)
        self.request = self._draft.request(chosen if chosen is None or self._first_draw else ~chosen)

    def frames(self) -> list[Frame]:
        """Return the frames of what was drawn, with depth where it counts, and remember what the path goes on from."""
        views: list[View] = []
        if self.request is not None:
            views = self._how.composited(self.request, self.drawn)
            if self._first_draw or self._goes_on:
                views, maps = self._how.located(self.request, views)
                if self._goes_on:
                    self._branch.write(views, maps, label="imagined")
        return self._how.frames(self._draft, views)


def _draw(
    generator: Generator, jobs: Sequence[_Job], prompt: str | None, on_step: OnStep, should_stop: ShouldStop | None
) -> None:
    """Draw what jobs ask for: at once where the generator can, else one after the other, with steps of all of them."""
    asking = [(job, job.request) for job in jobs if job.request is not None]
    if isinstance(generator, DrawsTogether) and asking:
        drawn = generator.generate_together(
            [request for _, request in asking], prompt=prompt, on_step=on_step, should_stop=should_stop
        )
        for (job, _), views in zip(asking, drawn, strict=True):
            job.drawn = views
        return
    for number, (job, request) in enumerate(asking):
        job.drawn = generator.generate(
            request.recall,
            request.targets,
            prompt=prompt,
            seed=request.seed,
            on_step=_among(on_step, number, len(asking)),
            should_stop=should_stop,
        )


def _among(on_step: OnStep, number: int, count: int) -> OnStep:
    """Return what is called with the steps of one of several equal parts, and calls back with those of the whole."""
    return lambda step, steps: on_step(number * steps + step, count * steps)


def _compared(path: int, start: int, draws: Sequence[Sequence[Frame]]) -> Iterator[ImaginedView]:
    """Yield the views of the first draw of a chunk, compared with those of the second one, if there is one."""
    for place, frame in enumerate(draws[0]):
        depth = frame.view.depth
        known = frame.confidence.new_empty(0) if depth is None else depth[torch.isfinite(depth)]
        yield ImaginedView(
            path,
            start + place,
            frame,
            Figures(
                remembered=float(frame.projection.seen.float().mean()),
                confidence=float(frame.confidence.mean()),
                nearest_depth_m=float(known.min()) if len(known) else math.nan,
                disagreement=_difference(frame.view.image, draws[1][place].view.image) if len(draws) > 1 else math.nan,
            ),
        )


def _difference(one: Tensor, other: Tensor) -> float:
    """Return the mean absolute difference of two uint8 images, in [0, 1]."""
    return float((one.float() - other.float()).abs().mean()) / 255


def _groups(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
