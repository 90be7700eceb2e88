"""Memory of fused coloured points (Spatia): one point a voxel, the mean of what cameras saw there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.memory.choice import Choice
from vmem_ros.memory.editing import EditableViewMemory
from vmem_ros.memory.points.index import PointIndex
from vmem_ros.memory.points.references import choose_references
from vmem_ros.memory.sky import looked_through
from vmem_ros.memory.view_memory import nothing_shown
from vmem_ros.types import IMAGINED_CONFIDENCE, Elements, PointMap, Projection, Target, View, confidence_of


@dataclass(frozen=True, kw_only=True)
class PointMemoryOptions:
    """Options of :class:`PointMemory`.

    :param voxel: side of a voxel in metres. Smaller ones show more detail, and take more memory and time.
    :param min_confidence: pixels with less geometric confidence make no points.
    :param splat_scale: half the side of the square that a point is drawn as, over its size. Smaller ones leave gaps in
        surfaces that run across the grid.
    :param least_shared: share of the front-most points of a target that a view must have seen to be a reference.
    :param max_views: forget the views above this number that shared the fewest points lately; ``None``: never.
    :param max_points: likewise for points, those that were added by hand not counted.
    """

    voxel: float = 0.02
    min_confidence: float = 0.05
    splat_scale: float = 0.75
    least_shared: float = 0.01
    max_views: int | None = None
    max_points: int | None = None

    def __post_init__(self) -> None:
        for name in ("voxel", "splat_scale", "max_views", "max_points"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= self.least_shared <= 1:
            raise ValueError(f"least_shared must be 0 to 1, got {self.least_shared}")


class PointMemory(EditableViewMemory[PointIndex]):
    """Stores views and the points that they saw, shows the points, and finds views that saw the same ones.

    The cost of a call depends on what is in view; only the doubling of arrays, an eviction and :meth:`restore` touch
    everything.

    Views are chosen by the front-most points that they share with targets, each target matched with a view of its own
    as long as that goes.

    :param device: where points and pixels live; matching runs on the CPU.
    """

    kind = "points"

    def __init__(self, options: PointMemoryOptions | None = None, *, device: torch.device | str = "cpu") -> None:
        super().__init__(options or PointMemoryOptions(), device=device)

    def figures(self) -> Mapping[str, int | float]:
        """Return the number of points."""
        return {"points": len(self._index.store) - len(self._index.edits.all_removed)}

    def elements(self) -> Elements:
        """Return all points in the world frame; they have no normals."""
        standing = self._index.standing
        store, position = self._index.store, self._index.world_position(standing)
        observed = store.voxels.observed.index_select(0, standing) & ~self._are_added(standing)
        color = store.color.index_select(0, standing)
        return Elements(position, color, number=standing, confidence=confidence_of(observed.float()))

    # Insides

    def _project(self, target: Target) -> Projection:
        store = self._index.store
        if not len(store):
            return nothing_shown(target, self.device)
        ids, depth, image = self._index.render(target, scale=self.config.splat_scale)
        observed, added = store.voxels.observed[ids.clamp(min=0)], self._are_added(ids)
        through = looked_through(self._store.sky_near(target), target, depth, (ids >= 0) & ~observed)
        ids = torch.where(through, -1, ids)
        seen = ids >= 0
        confidence = torch.where(observed & ~added, 1.0, IMAGINED_CONFIDENCE)
        return Projection(
            image=torch.where(seen[..., None], image, 0),
            depth=torch.where(seen, depth, torch.nan),
            seen=seen,
            ids=ids,
            confidence=torch.where(seen, confidence, 0.0),
        )

    def _new_index(self) -> PointIndex:
        return PointIndex(self.device, voxel=self.config.voxel)

    def _over_bounds(self) -> bool:
        # What was added by hand is not to be forgotten, nor views in its place.
        most = self.config.max_points
        return most is not None and len(self._index.store) - self._index.edits.total_added > most

    def _add(self, view: View, point_map: PointMap) -> None:
        observed = view.source == "observed"
        standing = self._standing(point_map, self._index.store.voxels.observed, observed=observed)
        known = torch.isfinite(point_map.points).all(dim=-1) & (point_map.confidence >= self.config.min_confidence)
        if standing is not None:
            known &= standing < 0
        pixel = known.flatten().nonzero().squeeze(1)
        points = point_map.points.reshape(-1, 3).index_select(0, pixel)
        colors = view.image.view(-1, 3).index_select(0, pixel)
        size = points[:, 2] / (view.camera.fx * view.camera.fy) ** 0.5
        seen = torch.empty(0, dtype=torch.int64, device=self.device)
        if standing is not None:
            seen = standing[standing >= 0]
        self._index.add(points, colors, size, view.T_world_camera, observed=observed, seen=seen)

    def _choose(
        self, targets: Sequence[Target], projections: Sequence[Projection], T_world_query: Tensor, k: int
    ) -> tuple[Choice, Tensor]:
        # More targets than references cannot each have one: as many are asked, evenly spread.
        asked = torch.linspace(0, len(projections) - 1, min(k, len(projections))).round().long().unique().tolist()
        points = [self._index.visible(projections[i].ids.flatten()) for i in asked]
        return choose_references(self._index, points, k, least_shared=self.config.least_shared)
