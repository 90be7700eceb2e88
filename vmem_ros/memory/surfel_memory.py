"""Surfel-indexed view memory (VMem): past views, and a cloud of surfels that knows which view saw what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError, NothingToUndoError, NotSeededError
from vmem_ros.geometry import average_pose, transform
from vmem_ros.memory import storage
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.retrieval import Choice, Selection, choose_views, nearest_views, surfel_votes
from vmem_ros.memory.sampling import sample_surfels
from vmem_ros.memory.splatting import Splat, splat
from vmem_ros.memory.surfels import SurfelCloud, SurfelStore
from vmem_ros.memory.voxel_hash import VoxelHash
from vmem_ros.memory.warping import Warped, best_views, warp_views
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Projection, Recall, Target, View

#: What fills the pixels of a projection: ``surfels``, their colours; ``pixels``, those of stored views (sharper).
Detail = Literal["surfels", "pixels"]

# Longer side of the image in which surfels vote: votes need proportions, not pixels.
_VOTING_SIDE = 160


@dataclass(frozen=True, kw_only=True)
class SurfelMemoryConfig:
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
    :param max_views: forget the least voted views above this number; ``None``: never.
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


class SurfelMemory:
    """Stores views, indexes them by surfels, and finds and shows what matters at a pose.

    Surfels are kept in float32 relative to the place of the first view, poses in float64. The cost of a call depends
    on what is in view; only the doubling of arrays and :meth:`undo` across an eviction touch everything.

    :param device: where surfels and pixels live; selection itself runs in float64 on the CPU.
    """

    def __init__(self, config: SurfelMemoryConfig | None = None, *, device: torch.device | str = "cpu") -> None:
        self.config = config or SurfelMemoryConfig()
        self.device = torch.device(device)
        self._surfels = SurfelStore(self.device)
        self._observations = Observations(self.device)
        self._hash = VoxelHash(self.device, merge_factor=self.config.merge_factor, min_cosine=self.config.merge_cosine)
        #: Box around the surfels that each view saw, [V, (low, high), 3].
        self._reach = GrowableTensor((2, 3), torch.float32, self.device)
        self._views: list[View] = []
        self._poses = torch.empty(0, 4, 4, dtype=torch.float64)
        #: Number of surfels before each view was written, and after the last.
        self._born = [0]
        #: Votes each view has received in all reads, for eviction.
        self._popularity = torch.empty(0, dtype=torch.int64)
        self._origin = torch.zeros(3, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self._views)

    @property
    def views(self) -> Sequence[View]:
        """Stored views in the order they were written."""
        return tuple(self._views)

    @property
    def n_surfels(self) -> int:
        """Number of surfels."""
        return len(self._surfels)

    @property
    def surfels(self) -> SurfelCloud:
        """All surfels in the world frame."""
        cloud = self._surfels.cloud
        return dataclasses.replace(cloud, position=(cloud.position.double() + self._origin.to(self.device)).float())

    @property
    def nbytes(self) -> int:
        """Bytes held by surfels, index and views."""
        index = self._surfels.nbytes + self._hash.nbytes + self._observations.nbytes
        return index + sum(t.nbytes for v in self._views for t in storage.view_maps(v).values())

    # Reading

    def read(self, targets: Sequence[Target], k: int = 4) -> Recall:
        """Return the ``k`` views that matter for the targets, and what memory shows at each of them.

        The surfels are rendered once from the mean pose of the targets, with the first target's intrinsics widened by
        ``query_fov_scale``. Every covered pixel votes for the views of its surfel with ``cos / (1 + depth)``. If
        fewer than ``k`` views have votes, the nearest of the others fill up with weight 0; if none has, the nearest
        poses are returned and ``fallback`` says so.

        :raises NotSeededError: nothing is stored yet.
        """
        if not self._views:
            raise NotSeededError("the memory is empty: seed the world with a first view")
        if not targets:
            raise ValueError("read needs at least one target")
        query = average_pose(torch.stack([t.T_world_camera for t in targets]))
        widened = targets[0].camera.widened(self.config.query_fov_scale)
        scale = min(1.0, _VOTING_SIDE / max(widened.size))
        small = widened.resized(max(1, round(widened.width * scale)), max(1, round(widened.height * scale)))
        choice, votes = self._vote(self._splat(Target(small, query)), query, k)
        self._popularity += votes
        fallback = not choice.views
        if len(choice.views) < min(k, len(self)):
            choice = self._fill_up(choice, query, k)
        return Recall(
            views=tuple(self._views[i] for i in choice.views),
            weights=choice.weights,
            indices=tuple(choice.views),
            projections=tuple(self.project(t) for t in targets),
            fallback=fallback,
        )

    def project(self, target: Target) -> Projection:
        """Return what memory alone shows at one pose, with holes. Changes nothing."""
        rendered = self._splat(target)
        seen = rendered.ids >= 0
        ids = rendered.ids.clamp(min=0)
        cloud = self._surfels.cloud
        if not len(cloud):
            return self._nothing(target)
        color = cloud.color.index_select(0, ids.flatten()).view(*ids.shape, 3).float()
        provenance = cloud.provenance[ids]
        depth = rendered.depth
        if self.config.detail == "pixels":
            warped = self._warp(rendered, target)
            found = warped.found[..., None]
            color = torch.where(found, warped.color, color)
            provenance = torch.where(warped.found, warped.provenance, provenance)
            depth = torch.where(warped.found, warped.depth, depth)
            seen = seen & ~warped.refuted
        return Projection(
            image=torch.where(seen[..., None], color.round().clamp(0, 255), 0.0).to(torch.uint8),
            depth=torch.where(seen, depth, torch.nan),
            seen=seen,
            ids=torch.where(seen, rendered.ids, -1),
            confidence=torch.where(seen, IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * provenance, 0.0),
        )

    def find(self, target: Target) -> View | None:
        """Return the newest stored view with exactly this camera and pose, or ``None``."""
        same = (self._poses == target.T_world_camera).all(dim=-1).all(dim=-1).nonzero().squeeze(1)
        for index in reversed(same.tolist()):
            if self._views[index].camera == target.camera:
                return self._views[index]
        return None

    # Writing

    def write(self, views: Sequence[View], maps: Sequence[PointMap]) -> None:
        """Store views with their geometry: all of them, or on any error none.

        :raises InvalidImageError: a point map does not fit its view.
        """
        if len(views) != len(maps):
            raise InvalidImageError(f"write needs one point map per view, got {len(views)} views and {len(maps)} maps")
        for view, point_map in zip(views, maps, strict=True):
            if tuple(point_map.points.shape) != (*view.camera.size, 3):
                raise InvalidImageError(
                    f"the point map is {list(point_map.points.shape)}, the view {view.camera.size} (height, width)"
                )
        written = len(self)
        try:
            for view, point_map in zip(views, maps, strict=True):
                self._write_one(view, point_map)
        except Exception:
            self._cut(written)
            raise
        self._evict(protected=len(views))

    def undo(self, n: int = 1) -> None:
        """Remove the last ``n`` views and exactly what they added.

        :raises NothingToUndoError: fewer than ``n`` views are stored.
        """
        if n < 1 or n > len(self):
            raise NothingToUndoError(f"cannot undo {n} views: {len(self)} are stored")
        self._cut(len(self) - n)

    def clear(self) -> None:
        """Forget everything."""
        self._cut(0)

    # Saving

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything as named tensors and JSON-able metadata."""
        cloud = self._surfels.cloud
        tensors = {f"surfels/{f.name}": getattr(cloud, f.name) for f in dataclasses.fields(cloud)}
        tensors |= {
            "observations/surfel": self._observations.surfels,
            "observations/offset": self._observations.offsets,
            "views/born": torch.tensor(self._born),
            "views/popularity": self._popularity,
            "origin": self._origin,
        }
        view_tensors, view_metadata = storage.pack_views(self._views)
        return tensors | view_tensors, {"views": view_metadata}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Replace the content by what :meth:`state` returned; on any error the content stays as it was.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        names = [f.name for f in dataclasses.fields(SurfelCloud)]
        like = self._surfels.cloud
        cloud = SurfelCloud(
            **{n: storage.take(tensors, f"surfels/{n}", like=getattr(like, n), device=self.device) for n in names}
        )
        views = storage.unpack_views(tensors, metadata, self.device)
        surfel = storage.take(tensors, "observations/surfel", like=self._observations.surfels, device=self.device)
        offset = storage.take(tensors, "observations/offset", like=self._observations.offsets, device=self.device)
        born = storage.take(tensors, "views/born", like=torch.empty(0, dtype=torch.int64)).tolist()
        popularity = storage.take(tensors, "views/popularity", like=self._popularity)
        origin = storage.take(tensors, "origin", like=self._origin)
        storage.check_index(cloud, surfel, offset, born, popularity, origin, len(views))
        self._views = views
        self._poses = torch.stack([v.T_world_camera for v in views]) if views else self._poses[:0]
        self._born, self._popularity, self._origin = born, popularity.clone(), origin.clone()
        self._surfels.replace(cloud)
        self._observations.replace(surfel, offset.diff())
        self._index_again()

    # Insides

    def _splat(self, target: Target) -> Splat:
        T = target.T_world_camera.clone()
        T[:3, 3] -= self._origin
        return splat(self._surfels.cloud, self._surfels.blocks, target.camera, T, scale=self.config.splat_scale)

    def _vote(self, rendered: Splat, T_world_query: Tensor, k: int) -> tuple[Choice, Tensor]:
        """Return the chosen views, and the votes of all views [V]."""
        cloud = self._surfels.cloud
        eye = self._local(T_world_query[:3, 3])
        visible = self._visible(rendered)
        direction = torch.nn.functional.normalize(cloud.position.index_select(0, visible) - eye, dim=-1)
        cosine = torch.zeros(len(cloud), device=self.device)
        cosine[visible] = (direction * cloud.normal.index_select(0, visible)).sum(dim=-1).abs()
        weight = surfel_votes(rendered, cosine, len(cloud))
        candidates = self._near(cloud.position.index_select(0, visible))
        votes = torch.zeros(len(self), dtype=torch.int64, device=self.device)
        votes[candidates] = self._observations.sums(weight, candidates)
        choice = choose_views(
            votes, weight, self._observations, self._poses, T_world_query,
            k=k, selection=self.config.selection, suppression=self.config.suppression,
        )  # fmt: skip
        return choice, votes.cpu()

    def _warp(self, rendered: Splat, target: Target) -> Warped:
        """Fetch the pixels of the views that the rendered surfels vote for."""
        # Every fourth pixel of every fourth row is enough to choose a few views.
        sparse = Splat(rendered.ids[::4, ::4], rendered.depth[::4, ::4])
        chosen = self._vote(sparse, target.T_world_camera, self.config.detail_views)[0].views
        views = [self._views[i] for i in chosen]
        visible = self._visible(rendered)
        position = self._surfels.cloud.position.index_select(0, visible)
        saw = torch.zeros(len(views), len(self._surfels), dtype=torch.bool, device=self.device)
        saw[self._observations.of_all(torch.tensor(chosen, dtype=torch.int64, device=self.device))] = True
        T_local = self._poses[chosen].clone()
        T_local[:, :3, 3] -= self._origin
        eye = self._local(target.T_world_camera[:3, 3])
        best = torch.full((len(self._surfels),), -1, dtype=torch.int64, device=self.device)
        best[visible] = best_views(views, saw[:, visible], position, T_local, eye)
        first = torch.where(rendered.ids >= 0, best[rendered.ids.clamp(min=0)], -1)
        return warp_views(views, first, target.camera, target.T_world_camera, rendered.depth)

    def _near(self, points: Tensor) -> Tensor:
        """Return the views that may have seen one of the points [n, 3]: their surfels' box meets the points' box."""
        if not len(points):
            return torch.empty(0, dtype=torch.int64, device=self.device)
        low, high = self._reach.data.unbind(1)
        return ((low <= points.amax(dim=0)) & (high >= points.amin(dim=0))).all(dim=-1).nonzero().squeeze(1)

    def _visible(self, rendered: Splat) -> Tensor:
        """Return the numbers of the surfels that cover a pixel, ascending: [n] int64."""
        mark = torch.zeros(len(self._surfels) + 1, dtype=torch.bool, device=self.device)
        mark[rendered.ids.flatten()] = True
        return mark[:-1].nonzero().squeeze(1)

    def _local(self, point: Tensor) -> Tensor:
        """Return a world point [3] in the surfels' float32 frame."""
        return (point - self._origin).to(device=self.device, dtype=torch.float32)

    def _fill_up(self, choice: Choice, T_world_query: Tensor, k: int) -> Choice:
        """Add the nearest poses that are not chosen yet, with weight 0 (or equal weights if none is chosen)."""
        if not choice.views:
            return nearest_views(self._poses, T_world_query, k)
        others = torch.ones(len(self), dtype=torch.bool)
        others[choice.views] = False
        index = others.nonzero().squeeze(1)
        near = nearest_views(self._poses[index], T_world_query, k - len(choice.views)).views
        return Choice(
            choice.views + index[near].tolist(),
            torch.nn.functional.pad(choice.weights, (0, len(near))),
        )

    def _nothing(self, target: Target) -> Projection:
        size = target.camera.size
        return Projection(
            image=torch.zeros(*size, 3, dtype=torch.uint8, device=self.device),
            depth=torch.full(size, torch.nan, device=self.device),
            seen=torch.zeros(size, dtype=torch.bool, device=self.device),
            ids=torch.full(size, -1, dtype=torch.int64, device=self.device),
            confidence=torch.zeros(size, device=self.device),
        )

    def _write_one(self, view: View, point_map: PointMap) -> None:
        if not self._views:
            self._origin = view.T_world_camera[:3, 3].clone()
        if view.depth is None:
            view = dataclasses.replace(view, depth=point_map.depth.contiguous())
        view = _to_device(view, self.device)
        point_map = PointMap(
            point_map.points.to(self.device), point_map.confidence.to(self.device), view.camera, view.T_world_camera
        )
        stride = self.config.surfel_stride or max(2.0, max(view.camera.size) / 96)
        provenance = view.confidence
        if provenance is None:
            provenance = torch.full(view.camera.size, float(view.source == "observed"), device=self.device)
            view = dataclasses.replace(view, confidence=provenance)
        new = sample_surfels(
            point_map, view.image, provenance, stride=stride, min_confidence=self.config.min_confidence
        )
        T = view.T_world_camera.clone()
        T[:3, 3] -= self._origin
        rotation = T.clone()
        rotation[:3, 3] = 0
        new = dataclasses.replace(new, position=transform(T, new.position), normal=transform(rotation, new.normal))

        n = len(self._surfels)
        old = self._hash.find(new, self._surfels.cloud)
        fresh = new.select((old < 0).nonzero().squeeze(1))
        self._surfels.append(fresh)
        self._hash.insert(fresh, n)
        credited = torch.cat([old[old >= 0].unique(), torch.arange(n, n + len(fresh), device=self.device)])
        self._observations.append(credited)
        self._reach.append(_box(self._surfels.cloud.position[credited])[None])
        self._views.append(view)
        self._poses = torch.cat([self._poses, view.T_world_camera[None]])
        self._born.append(len(self._surfels))
        self._popularity = torch.nn.functional.pad(self._popularity, (0, 1))

    def _index_again(self) -> None:
        """Rebuild what is derived from surfels and observations: the voxel hash, and the box of each view."""
        cloud = self._surfels.cloud
        self._hash.clear()
        self._hash.insert(cloud, 0)
        row, surfel = self._observations.of_all(torch.arange(len(self), device=self.device))
        index = row[:, None].expand(-1, 3)
        high = torch.full((len(self), 3), -torch.inf, device=self.device)
        low = -high
        low.scatter_reduce_(0, index, cloud.position[surfel], "amin")
        high.scatter_reduce_(0, index, cloud.position[surfel], "amax")
        self._reach.replace(torch.stack([low, high], dim=1))

    def _cut(self, views: int) -> None:
        """Keep the first ``views`` views and what they added."""
        n = self._born[views]
        self._hash.remove_from(n, self._surfels.cloud.after(n))
        self._surfels.truncate(n)
        self._observations.truncate(views)
        self._reach.truncate(views)
        self._popularity = self._popularity[:views]
        self._poses = self._poses[:views]
        del self._views[views:]
        del self._born[views + 1 :]

    def _evict(self, *, protected: int) -> None:
        """Forget the least voted views while the memory is over its bounds; the last ``protected`` views stay."""
        max_views = self.config.max_views or len(self)
        max_surfels = self.config.max_surfels or len(self._surfels)
        while (len(self) > max_views or len(self._surfels) > max_surfels) and len(self) > protected:
            spare = self._popularity[: len(self) - protected]
            # A tenth more than needed: compaction touches everything, so it should be rare.
            n = max(1, len(self) - max_views + max_views // 10 if len(self) > max_views else len(self) // 10)
            keep = torch.ones(len(self), dtype=torch.bool)
            keep[torch.argsort(spare, stable=True)[:n]] = False
            self._compact(keep)

    def _compact(self, keep: Tensor) -> None:
        """Keep the views marked in ``keep`` [V] and the surfels that at least one of them saw.

        A surfel then belongs to the oldest view left that saw it, so that undo stays exact.
        """
        kept = keep.nonzero().squeeze(1)
        row, surfel = self._observations.of_all(kept.to(self.device))
        first = torch.full((len(self._surfels),), len(kept), dtype=torch.int64, device=self.device)
        first.scatter_reduce_(0, surfel, row, "amin")
        order = torch.argsort(first, stable=True)[: int((first < len(kept)).sum())]
        number = torch.full_like(first, -1)
        number[order] = torch.arange(len(order), device=self.device)
        counts = torch.bincount(row, minlength=len(kept))
        self._surfels.replace(self._surfels.cloud.select(order))
        self._observations.replace(number[surfel], counts)
        born = torch.bincount(first[order], minlength=len(kept)).cumsum(0)
        self._born = [0, *born.tolist()]
        self._views = [self._views[i] for i in kept.tolist()]
        self._poses, self._popularity = self._poses[kept], self._popularity[kept]
        self._index_again()


def _box(points: Tensor) -> Tensor:
    """Return the lowest and highest corner [2, 3] of points [n, 3]; no points make an empty box."""
    if not len(points):
        return torch.tensor([[torch.inf] * 3, [-torch.inf] * 3], device=points.device)
    return torch.stack([points.amin(dim=0), points.amax(dim=0)])


def _to_device(view: View, device: torch.device) -> View:
    moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in storage.view_maps(view).items()}
    return dataclasses.replace(view, **moved)
