"""What each part of the memory is worth: the same world with parts of it taken away.

All methods have the same memory, which stores the same views with geometry found in the same way; what differs is what
the generator is told of it: which views are its references, and whether it sees what memory shows at the new poses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import average_pose
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.memory.surfel.retrieval import nearest_views
from vmem_ros.protocols import Generator, OnStep, PointMapEstimator, ShouldStop
from vmem_ros.types import Projection, Recall, Target, View
from vmem_ros.world import Composite, World

#: Which stored views are the references: those that ``surfels`` vote for, the ``nearest`` poses, the most ``recent``
#: ones, or the ``first`` alone.
References = Literal["surfels", "nearest", "recent", "first"]
Engine = Literal["diffusion", "reprojection", "copy"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to answer poses.

    :param engine: ``diffusion``: the model that is judged; ``reprojection``: memory's projection, holes inpainted;
        ``copy``: no world at all, each pose is answered by the nearest view that a camera took.
    :param k: references at most.
    :param projection: the generator is told what memory shows.
    """

    name: str
    engine: Engine = "diffusion"
    references: References = "surfels"
    k: int = 4
    projection: bool = True
    composite: Composite = "none"


#: The method that the others are compared with comes first.
METHODS = (
    Method(name="surfels + projection"),
    Method(name="surfels + projection, composited", composite="remembered"),
    Method(name="projection", references="recent", k=1),
    Method(name="surfels", projection=False),
    Method(name="nearest poses", references="nearest", projection=False),
    Method(name="most recent views", references="recent", projection=False),
    Method(name="first view", references="first", k=1, projection=False),
    Method(name="reprojection", engine="reprojection", composite="remembered"),
    Method(name="copy the nearest view", engine="copy"),
)


def methods_for(generator: Generator) -> tuple[Method, ...]:
    """Return the methods that a model allows: one that takes no projection is not judged with it."""
    told = "projection" in generator.uses
    return tuple(m for m in METHODS if m.engine != "diffusion" or told or not m.projection)


def build_world(
    method: Method, generator: Generator, estimator: PointMapEstimator, *, device: torch.device | str = "cpu"
) -> World:
    """Return an empty world that answers by a method; poses that come again are drawn again.

    :param generator: the diffusion model.
    :raises ModelError: the method answers without a world.
    """
    if method.engine == "copy":
        raise ModelError(f"method {method.name!r} has no world: use nearest_view")
    if method.engine == "reprojection":
        generator = ReprojectionGenerator()
    elif not method.projection:
        generator = WithoutProjection(generator)
    memory = RecallingMemory(method.references, device=device)
    return World(memory, generator, estimator, k=method.k, composite=method.composite, reuse_views=False)


class RecallingMemory(SurfelMemory):
    """A surfel memory whose reference views are chosen by another rule; what it shows at a pose stays the same."""

    def __init__(self, references: References, *, device: torch.device | str = "cpu") -> None:
        super().__init__(device=device)
        self.references: References = references

    def read(self, targets: Sequence[Target], k: int = 4) -> Recall:
        """Return ``k`` views by this memory's rule, equally weighted unless surfels voted; see :class:`SurfelMemory`.

        ``recent`` are the last views that were written, the newest first.
        """
        recall = super().read(targets, k)
        if self.references == "surfels":
            return recall
        views = self.views
        if self.references == "nearest":
            poses = torch.stack([view.T_world_camera for view in views])
            query = average_pose(torch.stack([target.T_world_camera for target in targets]))
            chosen = nearest_views(poses, query, k).views
        elif self.references == "recent":
            chosen = list(range(len(views)))[: -k - 1 : -1]
        else:
            chosen = [0]
        weights = torch.full((len(chosen),), 1 / len(chosen), dtype=torch.float64)
        return Recall(tuple(views[i] for i in chosen), weights, tuple(chosen), recall.projections)


class WithoutProjection:
    """A generator that is not told what memory shows: it sees a projection of nothing, as now and then in training.

    Nor is it told the depth of the references, from which a pipeline would continue the room into that nothing. Memory
    and the geometry of new views know all of it the same.
    """

    def __init__(self, generator: Generator) -> None:
        self.name = f"{generator.name} without projection"
        self.uses = generator.uses - {"projection"}
        self._generator = generator

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`."""
        blind = dataclasses.replace(
            recall,
            views=tuple(dataclasses.replace(view, depth=None) for view in recall.views),
            projections=tuple(_nothing_like(p) for p in recall.projections),
        )
        return self._generator.generate(blind, targets, seed=seed, on_step=on_step, should_stop=should_stop)


def _nothing_like(projection: Projection) -> Projection:
    return Projection(
        image=torch.zeros_like(projection.image),
        depth=torch.full_like(projection.depth, torch.nan),
        seen=torch.zeros_like(projection.seen),
        ids=torch.full_like(projection.ids, -1),
        confidence=torch.zeros_like(projection.confidence),
    )
