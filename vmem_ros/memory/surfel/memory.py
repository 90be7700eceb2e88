"""Surfel-indexed view memory (VMem): past views, and a cloud of surfels that knows which view saw what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.memory.blending import Blended, blend_views
from vmem_ros.memory.choice import Choice
from vmem_ros.memory.sky import looked_through
from vmem_ros.memory.surfel.extraction import sample_surfels
from vmem_ros.memory.surfel.index import SurfelIndex
from vmem_ros.memory.surfel.retrieval import Selection, choose_views
from vmem_ros.memory.surfel.splatting import Splat
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.memory.view_memory import ViewMemory, nothing_shown
from vmem_ros.types import IMAGINED_CONFIDENCE, Elements, PointMap, Projection, Target, View

#: What fills the pixels of a projection: ``surfels``, their colours; ``pixels``, those of stored views (sharper).
Detail = Literal["surfels", "pixels"]

# Longer side of the image in which surfels vote: votes need proportions, not pixels.
_VOTING_SIDE = 160


@dataclass(frozen=True, kw_only=True)
class SurfelMemoryOptions:
    """Options of :class:`SurfelMemory`.

    :param surfel_stride: pixels between surfels; ``None``: as many as put 96 on the longer side, at least 2. (VMem
        keeps one every 33 pixels: enough to vote for views, far too coarse to project.)
    :param min_confidence: points with less geometric confidence make no surfels.
    :param merge_factor: merge distance over the smaller of two surfel radii. Surfels are spaced by 2 radii, so 1.5
        reaches the nearest surfel of an equally dense grid wherever a point falls (half a diagonal is 1.41 radii).
    :param merge_cosine: normals must agree better than this to merge.
    :param query_fov_scale: how much wider than the targets' camera memory looks for views that matter.
    :param selection: how the views are chosen among those with votes.
    :param suppression: geodesic distance (radians + 0.1 * metres) that chosen views keep from each other.
    :param splat_scale: drawn radius over surfel radius.
    :param detail: what fills the pixels of a projection.
    :param detail_views: stored views that are asked for pixels.
    :param max_views: forget the views above this number that got the fewest votes lately; ``None``: never.
    :param max_surfels: likewise for surfels.
    """

    surfel_stride: float | None = None
    min_confidence: float = 0.05
    merge_factor: float = 1.5
    merge_cosine: float = 0.6
    query_fov_scale: float = 1.25
    selection: Selection = "votes"
    suppression: float = 0.15
    splat_scale: float = 1.8
    detail: Detail = "pixels"
    detail_views: int = 4
    max_views: int | None = None
    max_surfels: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("selection", get_args(Selection)), ("detail", get_args(Detail))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        positive = (
            "surfel_stride",
            "merge_factor",
            "query_fov_scale",
            "splat_scale",
            "detail_views",
            "max_views",
            "max_surfels",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


class SurfelMemory(ViewMemory[SurfelIndex]):
    """Stores views, indexes them by surfels, and finds and shows what matters at a pose.

    The cost of a call depends on what is in view; only the doubling of arrays, an eviction and :meth:`restore` touch
    everything.

    Views are chosen by votes: the surfels are rendered once from the mean pose of the targets, with the first target's
    intrinsics widened by ``query_fov_scale``, and every covered pixel votes for the views of its surfel with
    ``cos / (1 + depth)``.

    :param device: where surfels and pixels live; selection itself runs in float64 on the CPU.
    """

    kind = "surfel"

    def __init__(self, options: SurfelMemoryOptions | None = None, *, device: torch.device | str = "cpu") -> None:
        super().__init__(options or SurfelMemoryOptions(), device=device)

    @property
    def n_surfels(self) -> int:
        """Number of surfels."""
        return len(self._index.cloud)

    @property
    def surfels(self) -> SurfelCloud:
        """A copy of all surfels in the world frame."""
        return self._index.world_cloud

    def figures(self) -> Mapping[str, int | float]:
        """Return the number of surfels."""
        return {"surfels": self.n_surfels}

    def elements(self) -> Elements:
        """Return all surfels in the world frame."""
        cloud = self._index.world_cloud
        return Elements(cloud.position, cloud.color, cloud.normal, cloud.radius)

    def project(self, target: Target) -> Projection:
        """Return what memory alone shows at one pose, with holes. Changes nothing."""
        cloud = self._index.cloud
        if not len(cloud):
            return nothing_shown(target, self.device)
        rendered = self._without_refuted(self._index.render(target, scale=self.config.splat_scale), target)
        seen, depth = rendered.ids >= 0, rendered.depth
        image = torch.zeros(*seen.shape, 3, dtype=torch.uint8, device=self.device)
        provenance = torch.zeros_like(depth)
        unanswered = seen
        if self.config.detail == "pixels":
            blended = self._blend(rendered, target)
            image, provenance, depth = blended.image, blended.provenance, blended.depth
            seen = seen & ~blended.refuted
            unanswered = seen & ~blended.found
        where = unanswered.flatten().nonzero().squeeze(1)
        ids = rendered.ids.flatten().index_select(0, where)
        image.view(-1, 3).index_copy_(0, where, cloud.color.index_select(0, ids))
        provenance.view(-1).index_copy_(0, where, cloud.provenance.index_select(0, ids))
        shown = Projection(
            image=image,
            depth=torch.where(seen, depth, torch.nan),
            seen=seen,
            ids=torch.where(seen, rendered.ids, -1),
            confidence=torch.where(seen, IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * provenance, 0.0),
        )
        own = self._store.find(target)
        return shown if own is None or own.source == "generated" else _itself(own, shown)

    # Insides

    def _without_refuted(self, rendered: Splat, target: Target) -> Splat:
        """Return what is rendered without imagined surfels that a camera looked through to infinity."""
        views = self._store.sky_near(target)
        if not views:
            return rendered
        imagined = (rendered.ids >= 0) & (self._index.cloud.provenance[rendered.ids.clamp(min=0)] == 0)
        through = looked_through(views, target, rendered.depth, imagined)
        return Splat(torch.where(through, -1, rendered.ids), torch.where(through, torch.nan, rendered.depth))

    def _choose(
        self, targets: Sequence[Target], projections: Sequence[Projection], T_world_query: Tensor, k: int
    ) -> tuple[Choice, Tensor]:
        widened = targets[0].camera.widened(self.config.query_fov_scale)
        scale = min(1.0, _VOTING_SIDE / max(widened.size))
        small = widened.resized(max(1, round(widened.width * scale)), max(1, round(widened.height * scale)))
        rendered = self._index.render(Target(small, T_world_query), scale=self.config.splat_scale)
        return self._voted(rendered, T_world_query, k)

    def _voted(self, rendered: Splat, T_world_query: Tensor, k: int) -> tuple[Choice, Tensor]:
        """Return the views with most votes of what is rendered, and the votes of all views [V]."""
        votes, weight = self._index.votes(rendered, T_world_query)
        choice = choose_views(
            votes, weight, self._index.observations, self._store.poses, T_world_query,
            k=k, selection=self.config.selection, suppression=self.config.suppression,
        )  # fmt: skip
        return choice, votes

    def _blend(self, rendered: Splat, target: Target) -> Blended:
        """Fetch depth and pixels of the views that the rendered surfels vote for."""
        # Every fourth pixel of every fourth row is enough to choose a few views.
        sparse = Splat(rendered.ids[::4, ::4], rendered.depth[::4, ::4])
        votes, weight = self._index.votes(sparse, target.T_world_camera)
        observed = self._store.observed.to(votes.device)
        ways: tuple[tuple[Tensor, Selection, float], ...] = (
            (observed, "nearest", 0.0),
            (observed, "coverage", self.config.suppression),
            (~observed, "nearest", 0.0),
        )
        nearest, covering, drawn = (
            choose_views(
                torch.where(among, votes, 0), weight, self._index.observations, self._store.poses,
                target.T_world_camera, k=self.config.detail_views, selection=selection, suppression=suppression,
            ).views
            for among, selection, suppression in ways
        )  # fmt: skip
        groups = (nearest, [i for i in covering if i not in nearest], drawn)
        return blend_views(
            [[self._store[i] for i in group] for group in groups], target.camera, target.T_world_camera, rendered.depth
        )

    def _new_index(self) -> SurfelIndex:
        config = self.config
        return SurfelIndex(self.device, merge_factor=config.merge_factor, min_cosine=config.merge_cosine)

    def _over_bounds(self) -> bool:
        return self.config.max_surfels is not None and self.n_surfels > self.config.max_surfels

    def _add(self, view: View, point_map: PointMap) -> None:
        stride = self.config.surfel_stride or max(2.0, max(view.camera.size) / 96)
        observed = view.source == "observed"
        known = self._standing(point_map, self._index.cloud.provenance > 0, observed=observed)
        new = sample_surfels(
            point_map, view.image,
            observed=observed, stride=stride, min_confidence=self.config.min_confidence,
            known=None if known is None else known >= 0,
        )  # fmt: skip
        self._index.add(new, view.T_world_camera, seen=None if known is None else known[known >= 0])


def _itself(view: View, shown: Projection) -> Projection:
    """Return what a memory shows at the very pose of an observed view: the view, whole, also where it has no depth."""
    assert view.confidence is not None, "the memory stores the confidence of every view"
    saw = view.confidence > 0
    confidence = IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * view.confidence
    return dataclasses.replace(
        shown,
        image=torch.where(saw[..., None], view.image, shown.image),
        seen=shown.seen | saw,
        confidence=torch.where(saw, confidence, shown.confidence),
    )
