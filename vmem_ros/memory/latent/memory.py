"""Memory of latents in space (Mirage): what a generator drew is kept as it drew it, where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry.lifting import Lifted, lift, masked_cells
from vmem_ros.memory.choice import Choice
from vmem_ros.memory.exposure import log_exposure
from vmem_ros.memory.latent.index import LatentIndex
from vmem_ros.memory.latent.overlap import best_overlap
from vmem_ros.memory.latent.pictures import blend
from vmem_ros.memory.latent.samples import sample
from vmem_ros.memory.latent.scenes import latents_at
from vmem_ros.memory.sky import looked_through
from vmem_ros.memory.view_memory import ViewMemory, nothing_shown
from vmem_ros.types import Elements, PointMap, Projection, Target, View, confidence_of

# Views with which the exposure of a new one is compared.
_COMPARED = 4


@dataclass(frozen=True, kw_only=True)
class LatentMemoryOptions:
    """Options of :class:`LatentMemory`.

    :param voxel: side in metres of the voxels by which looks at the world overlap.
    :param least_overlap: intersection over union of voxels that a view must have with what the targets see to be a
        reference.
    :param warped_views: views whose latents are warped to a target, at most.
    :param stride: pixels between samples; ``None``: as many as put 96 on the longer side, at least 2.
    :param splat_scale: half the side of the square that a sample is drawn as, over the space between samples.
    :param min_confidence: pixels of generated views with less geometric confidence make no samples, and their latents
        are not lifted; of observed views all do that have any.
    :param max_views: forget the views above this number that overlapped least lately; ``None``: never.
    """

    voxel: float = 0.1
    least_overlap: float = 0.04
    warped_views: int = 16
    stride: float | None = None
    splat_scale: float = 0.65
    min_confidence: float = 0.05
    max_views: int | None = None

    def __post_init__(self) -> None:
        for name in ("voxel", "warped_views", "stride", "splat_scale", "max_views"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= self.least_overlap <= 1:
            raise ValueError(f"least_overlap must be 0 to 1, got {self.least_overlap}")


class LatentMemory(ViewMemory[LatentIndex]):
    """Stores views, and where in the world the cells of their latents lie.

    A projection has the latents that a target sees as its features: each cell was lifted through its middle at the
    nearest known depth when its view was written; those of the views that share most with the target are warped, the
    nearest of each cell shows, and what is behind a known surface does not. With no more views than ``warped_views``
    that is the whole cloud; with more, the cost stays. Not lifted are pixels of an observed view whose confidence is 0,
    such as those under a mask: a cell with one of them is left out whole, for its latent knows of it.

    Views without latents are remembered, too: what all views saw is sampled, sparsely, and the picture and depth of a
    projection come from the stored pixels of the views near by. Views are chosen by the overlap of the voxels that they
    saw with those that the targets see, occlusion included.

    The cost of a call depends on what is in view; only the doubling of arrays, an eviction, :meth:`restore`, and one
    comparison for each stored view (of poses, and of the boxes around what views saw) touch everything. In a place that
    is seen again and again, samples and voxels become more until its surfaces are full, and showing it then takes up to
    some three times as long as at first (docs/memory.md). The places of latents, 16 bytes a cell, are kept for each
    view.

    :param device: where views and geometry live.
    """

    kind = "latent"

    def __init__(self, options: LatentMemoryOptions | None = None, *, device: torch.device | str = "cpu") -> None:
        super().__init__(options or LatentMemoryOptions(), device=device)

    def figures(self) -> Mapping[str, int | float]:
        """Return the number of samples, and of latents that have a place."""
        return {"samples": len(self._index.store), "latents": len(self._index.tokens)}

    def elements(self) -> Elements:
        """Return all samples in the world frame; they have no normals."""
        store = self._index.store
        confidence = confidence_of(store.samples.observed.float())
        return Elements(self._index.world_position, store.color.clone(), confidence=confidence)

    # Insides

    def _project(self, target: Target) -> Projection:
        store = self._index.store
        if not len(store):
            return nothing_shown(target, self.device)
        rendered = self._index.render(target, scale=self.config.splat_scale)
        observed = store.samples.observed[rendered.ids.clamp(min=0)]
        asked = (rendered.ids >= 0) & ~observed
        through = looked_through(self._store.sky_near(target), target, rendered.depth, asked)
        rendered = rendered._replace(
            ids=torch.where(through, -1, rendered.ids), depth=torch.where(through, torch.nan, rendered.depth)
        )
        imagined = (rendered.ids >= 0) & ~observed
        blended = blend(self._index, self._store, rendered, imagined, target)
        seen = (rendered.ids >= 0) & ~blended.refuted
        provenance = torch.where(blended.found, blended.provenance, observed.float())
        ids = torch.where(seen, rendered.ids, -1)
        depth = torch.where(seen, blended.depth, torch.nan)
        latents = latents_at(
            self._index,
            self._store,
            target,
            ids,
            depth,
            observed=seen & (provenance > 0),
            most=self.config.warped_views,
        )
        features, features_seen = latents or (None, None)
        image = torch.where(blended.found[..., None], blended.image, rendered.image)
        return Projection(
            image=torch.where(seen[..., None], image, 0),
            depth=depth,
            seen=seen,
            ids=ids,
            confidence=torch.where(seen, confidence_of(provenance), 0.0),
            features=features,
            features_seen=features_seen,
        )

    def _choose(
        self, targets: Sequence[Target], projections: Sequence[Projection], T_world_query: Tensor, k: int
    ) -> tuple[Choice, Tensor]:
        voxels, _ = self._index.visible(torch.cat([p.ids.flatten() for p in projections]))
        overlap, shared = self._index.voxels.overlap(voxels)
        overlap = overlap.cpu()
        chosen = best_overlap(overlap, k, least=max(self.config.least_overlap, torch.finfo(overlap.dtype).tiny))
        weights = overlap[chosen]
        return Choice(chosen, weights / weights.sum().clamp(min=1e-12)), shared

    def _exposure(self, view: View) -> Tensor | None:
        voxels = self._index.voxels
        shared = voxels.votes(voxels.seen.of(len(self._store))).cpu()[:-1]
        most = torch.argsort(shared, descending=True, stable=True)[:_COMPARED]
        most = most[shared[most] > 0]
        return log_exposure(view, [self._store[i] for i in most.tolist()], self._store.exposures[most])

    def _new_index(self) -> LatentIndex:
        return LatentIndex(self.device, voxel=self.config.voxel)

    def _add(self, view: View, point_map: PointMap) -> None:
        observed = view.source == "observed"
        standing = self._standing(point_map, self._index.store.samples.observed, observed=observed)
        least = torch.finfo(torch.float32).tiny if observed else self.config.min_confidence
        known = torch.isfinite(point_map.points).all(dim=-1) & (point_map.confidence >= least)
        masked = torch.zeros_like(known)
        if observed and view.confidence is not None:
            masked = view.confidence <= 0
            known &= ~masked
        self._index.begin(view.T_world_camera)
        T = self._index.local(view.T_world_camera)
        lifted = self._lifted(view, torch.where(known, point_map.depth, torch.nan), masked, T)
        new, seen = known, torch.empty(0, dtype=torch.int64, device=self.device)
        if standing is not None:
            new = known & (standing < 0)
            seen = standing[(standing >= 0) & ~masked]
        stride = self.config.stride or max(2.0, max(view.camera.size) / 96)
        samples = sample(point_map, view.image, new, T, stride=stride, observed=observed)
        self._index.add(samples, lifted, seen)

    def _lifted(self, view: View, depth: Tensor, masked: Tensor, T: Tensor) -> Lifted | None:
        """Return the latents of a view as points in the frame of the index, without masked ones."""
        latent = view.latent
        if latent is None:
            return None
        if latent.ndim != 3 or not latent.is_floating_point() or not latent.numel():
            raise InvalidImageError(f"a latent must be float [C, h, w], got {latent.dtype} {list(latent.shape)}")
        lifted = lift(latent, depth, view.camera.K, T)
        return lifted._replace(mask=lifted.mask & ~masked_cells(masked, *latent.shape[1:]).flatten())
