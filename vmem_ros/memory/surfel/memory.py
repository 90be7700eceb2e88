"""Surfel-indexed view memory (VMem): past views, and a cloud of surfels that knows which view saw what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.memory.blending import Blended, Shown, blend_views
from vmem_ros.memory.choice import Choice
from vmem_ros.memory.editing import EditableViewMemory
from vmem_ros.memory.exposure import log_exposure, shown_exposure
from vmem_ros.memory.sky import looked_through
from vmem_ros.memory.surfel.extraction import grid_camera, sample_surfels
from vmem_ros.memory.surfel.index import SurfelIndex
from vmem_ros.memory.surfel.retrieval import Selection, choose_views
from vmem_ros.memory.surfel.splatting import Splat
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.memory.view_changes import depth_and_confidence
from vmem_ros.memory.view_memory import nothing_shown
from vmem_ros.types import Elements, PointMap, Projection, Target, View, confidence_of

#: What fills the pixels of a projection: ``surfels``, their colours; ``pixels``, those of stored views (sharper).
Detail = Literal["surfels", "pixels"]

# Longer side of the image in which surfels vote: votes need proportions, not pixels.
_VOTING_SIDE = 160
# Views among which those are chosen whose pixels are shown: where more see a place, these are near enough.
_DETAIL_CANDIDATES = 64


@dataclass(frozen=True, kw_only=True)
class SurfelMemoryOptions:
    """Options of :class:`SurfelMemory`.

    :param surfel_stride: pixels between surfels; ``None``: as many as put 96 on the longer side, at least 2. (VMem
        keeps one every 33 pixels: enough to vote for views, far too coarse to project.)
    :param min_confidence: points of generated views with less geometric confidence make no surfels; of observed views
        all do that have any.
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
    :param max_surfels: likewise for surfels, those that were added by hand not counted.
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


class SurfelMemory(EditableViewMemory[SurfelIndex]):
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
        """Number of surfels, those that are refuted or removed among them."""
        return len(self._index.cloud)

    @property
    def surfels(self) -> SurfelCloud:
        """A copy of all surfels that are not refuted, in the world frame."""
        return self._index.world_cloud

    def figures(self) -> Mapping[str, int | float]:
        """Return the number of surfels."""
        return {"surfels": self.n_surfels}

    def elements(self) -> Elements:
        """Return all surfels that are not refuted, in the world frame."""
        cloud, number = self._index.world_cloud, self._index.standing
        provenance = torch.where(self._are_added(number), 0.0, cloud.provenance)
        return Elements(cloud.position, cloud.color, cloud.normal, cloud.radius, number, confidence_of(provenance))

    # Insides

    def _project(self, target: Target) -> Projection:
        cloud = self._index.cloud
        if not len(cloud):
            return nothing_shown(target, self.device)
        rendered = self._without_refuted(self._index.render(target, scale=self.config.splat_scale), target)
        # Views that looked there before something was added know nothing of it.
        added = self._are_added(rendered.ids) if self._index.edits.any_added else None
        if self.config.detail == "pixels":
            asked = rendered if added is None else replace(rendered, depth=rendered.depth.masked_fill(added, torch.nan))
            blended = self._blend(asked, target)
            image, provenance, depth = blended.image, blended.provenance, blended.depth
            if added is not None:
                depth = torch.where(added, rendered.depth, depth)
            lost = blended.refuted.flatten().nonzero().squeeze(1)
            for each, nothing in ((rendered.ids, -1), (depth, torch.nan)):
                each.view(-1).index_fill_(0, lost, nothing)
            seen = rendered.ids >= 0
            unanswered = seen & ~blended.found
        else:
            depth, seen = rendered.depth, rendered.ids >= 0
            image = torch.zeros(*seen.shape, 3, dtype=torch.uint8, device=self.device)
            provenance, unanswered = torch.zeros_like(depth), seen
        where = unanswered.flatten().nonzero().squeeze(1)
        ids = rendered.ids.flatten().index_select(0, where)
        image.view(-1, 3).index_copy_(0, where, cloud.color.index_select(0, ids))
        provenance.view(-1).index_copy_(0, where, cloud.provenance.index_select(0, ids))
        if added is not None:
            provenance.masked_fill_(added, 0.0)
        confidence = confidence_of(provenance).mul_(seen)
        return Projection(image=image, depth=depth, seen=seen, ids=rendered.ids, confidence=confidence)

    def _without_refuted(self, rendered: Splat, target: Target) -> Splat:
        """Return what is rendered without imagined surfels that a camera looked through to infinity."""
        views = self._store.sky_near(target)
        if not views:
            return rendered
        return rendered.without(looked_through(views, target, rendered.depth, rendered.imagined))

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
        votes, weight = self._index.votes(rendered.every(4), target.T_world_camera)
        observed = self._store.observed.to(votes.device)

        def chosen(votes: Tensor, selection: Selection, k: int = self.config.detail_views) -> list[int]:
            return choose_views(
                votes, weight, self._index.observations, self._store.poses, target.T_world_camera,
                k=k, selection=selection, suppression=0.0, candidates=_DETAIL_CANDIDATES,
            ).views  # fmt: skip

        nearest = chosen(torch.where(observed, votes, 0), "nearest")
        drawn = chosen(torch.where(observed, 0, votes), "nearest")
        # What those do not show, others do.
        left = self._index.votes_without(weight, nearest)
        covering = chosen(torch.where(observed, left, 0), "coverage", k=self.config.detail_views)
        groups = (nearest, covering, drawn)
        exposures, leading = self._store.exposures, next((group for group in groups if group), [])
        sharpness = self._store.sharpness
        shown = shown_exposure(exposures[leading], self._store.poses[leading], target.T_world_camera)
        asked = [
            [
                Shown(self._to_blend(i), gain, weight)
                for i, gain, weight in zip(
                    group, (shown - exposures[group]).exp(), sharpness[group].tolist(), strict=True
                )
            ]
            for group in groups
        ]
        return blend_views(asked, target.camera, target.T_world_camera, rendered.depth, rendered.imagined)

    def _to_blend(self, number: int) -> View:
        """Return a stored view whose pixels that an edit removed are none that have something to say.

        Of an imagined view that are those that see nothing: others without depth may have seen what is asked about.
        """
        view = self._store[number]
        if view.source == "observed" or not self._changes.touched(number):
            return view
        depth, _ = depth_and_confidence(view)
        return view.having(depth=torch.where(depth.isnan(), torch.inf, depth))

    def _exposure(self, view: View) -> Tensor | None:
        shared = self._index.sharing(len(self._store)).cpu()[:-1]
        most = torch.argsort(shared, descending=True, stable=True)[: self.config.detail_views]
        most = most[shared[most] > 0]
        return log_exposure(view, [self._store[i] for i in most.tolist()], self._store.exposures[most])

    def _new_index(self) -> SurfelIndex:
        config = self.config
        return SurfelIndex(self.device, merge_factor=config.merge_factor, min_cosine=config.merge_cosine)

    def _over_bounds(self) -> bool:
        # What was added by hand is not to be forgotten, nor views in its place.
        most = self.config.max_surfels
        return most is not None and self.n_surfels - self._index.edits.total_added > most

    def _add(self, view: View, point_map: PointMap) -> None:
        stride = self.config.surfel_stride or max(2.0, max(view.camera.size) / 96)
        observed = view.source == "observed"
        known = None
        if point_map.shown is not None:
            known = self._standing(point_map, self._index.cloud.provenance > 0, observed=observed)
        through = None
        if observed:
            through = self._index.looked_through(view.camera, view.T_world_camera, point_map.depth)
        new = sample_surfels(
            point_map, view.image,
            observed=observed, stride=stride, min_confidence=self.config.min_confidence,
            known=None if known is None else known >= 0,
        )  # fmt: skip
        self._index.add(
            new, view.T_world_camera, grid_camera(view.camera, stride),
            seen=None if known is None else known[known >= 0], through=through, by_camera=observed,
            scale=self.config.splat_scale,
        )  # fmt: skip
