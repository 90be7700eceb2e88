"""What each part of a memory is worth: the same world with parts of it taken away.

All methods have a memory of the same kind, which stores the same views with geometry found in the same way; what
differs is what the generator is told of it: which views are its references, and whether it sees what memory shows at
the new poses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.protocols import Generator, Memory, OnStep, PointMapEstimator, ShouldStop
from vmem_ros.types import Projection, Recall, Target, View
from vmem_ros.world import Composite, World

#: Which stored views are the references: those that the memory's ``own`` rule retrieves, the ``nearest`` poses, the
#: most ``recent`` ones, or the ``first`` alone.
References = Literal["own", "nearest", "recent", "first"]
Engine = Literal["judged", "reprojection", "copy"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to answer poses.

    :param engine: ``judged``: the generator that is judged; ``reprojection``: memory's projection, holes inpainted;
        ``copy``: no world at all, each pose is answered by the nearest view that a camera took.
    :param k: references at most.
    :param projection: the generator is told what memory shows.
    """

    name: str
    engine: Engine = "judged"
    references: References = "own"
    k: int = 4
    projection: bool = True
    composite: Composite = "none"


#: What the first method has to beat: no spatial memory at all.
MOST_RECENT = Method(name="most recent views", references="recent", projection=False)
#: The method that the others are compared with comes first.
METHODS = (
    Method(name="retrieved views + projection"),
    Method(name="retrieved views + projection, composited", composite="remembered"),
    Method(name="projection", references="recent", k=1),
    Method(name="retrieved views", projection=False),
    Method(name="nearest poses", references="nearest", projection=False),
    MOST_RECENT,
    Method(name="first view", references="first", k=1, projection=False),
    Method(name="reprojection", engine="reprojection", composite="remembered"),
    Method(name="copy the nearest view", engine="copy"),
)


def methods_for(generator: Generator) -> tuple[Method, ...]:
    """Return the methods that a generator allows: it is not judged with what it does not use."""
    return tuple(
        m for m in METHODS if m.engine != "judged" or ("projection" if m.projection else "views") in generator.uses
    )


def build_world(method: Method, generator: Generator, estimator: PointMapEstimator, memory: Memory) -> World:
    """Return a world that answers by a method; poses that come again are drawn again.

    :param generator: the one that is judged.
    :param memory: empty.
    :raises ModelError: the method answers without a world.
    """
    if method.engine == "copy":
        raise ModelError(f"method {method.name!r} has no world: use nearest_view")
    if method.engine == "reprojection":
        generator = ReprojectionGenerator()
    elif not method.projection:
        generator = WithoutProjection(generator)
    if method.references != "own":
        memory = cast(Memory, ChosenReferences(memory, method.references))
    return World(memory, generator, estimator, k=method.k, composite=method.composite, reuse_views=False)


class ChosenReferences:
    """A memory whose reference views are chosen by another rule than its own; all else is that of the memory inside."""

    def __init__(self, memory: Memory, references: References) -> None:
        self._memory = memory
        self._references: References = references

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def __len__(self) -> int:
        return len(self._memory)

    def empty_copy(self) -> ChosenReferences:
        """Return an empty memory of the same kind with the same rule."""
        return ChosenReferences(self._memory.empty_copy(), self._references)

    def read(self, targets: Sequence[Target], k: int, *, record: bool = True) -> Recall:
        """Return ``k`` equally weighted views by this rule; see :class:`vmem_ros.protocols.Memory`.

        ``recent`` are the last views that were written, the newest first.
        """
        recall = self._memory.read(targets, k, record=record)
        views = self._memory.views
        if self._references == "own":
            return recall
        if self._references == "nearest":
            poses = torch.stack([view.T_world_camera for view in views])
            query = average_pose(torch.stack([target.T_world_camera for target in targets]))
            chosen = geodesic_distance(poses, query).argsort(stable=True)[:k].tolist()
        elif self._references == "recent":
            chosen = list(range(len(views)))[: -k - 1 : -1]
        else:
            chosen = [0]
        return dataclasses.replace(
            recall,
            views=tuple(views[i] for i in chosen),
            weights=torch.full((len(chosen),), 1 / len(chosen), dtype=torch.float64),
            indices=tuple(chosen),
            fallback=False,
        )


class WithoutProjection:
    """A generator that is not told what memory shows: it sees a projection of nothing, as now and then in training.

    Nor is it told the depth of the references, from which a pipeline would continue the room into that nothing. Memory
    and the geometry of new views know all of it the same.
    """

    def __init__(self, generator: Generator) -> None:
        self.name = f"{generator.name} without projection"
        self.uses = generator.uses - {"projection", "features", "depth"}
        self.frames = generator.frames
        self._generator = generator

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`."""
        blind = dataclasses.replace(
            recall,
            views=_without_depth(recall.views),
            projections=tuple(_nothing_like(p) for p in recall.projections),
            newest=_without_depth(recall.newest),
        )
        return self._generator.generate(
            blind, targets, prompt=prompt, seed=seed, on_step=on_step, should_stop=should_stop
        )


def _without_depth(views: Sequence[View]) -> tuple[View, ...]:
    return tuple(dataclasses.replace(view, depth=None) for view in views)


def _nothing_like(projection: Projection) -> Projection:
    """Return a projection of the same size that shows nothing."""
    return Projection(
        image=torch.zeros_like(projection.image),
        depth=torch.full_like(projection.depth, torch.nan),
        seen=torch.zeros_like(projection.seen),
        ids=torch.full_like(projection.ids, -1),
        confidence=torch.zeros_like(projection.confidence),
        features=None if projection.features is None else torch.zeros_like(projection.features),
        features_seen=None if projection.features_seen is None else torch.zeros_like(projection.features_seen),
    )
