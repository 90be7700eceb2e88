"""The index: surfels, which view saw which, and how to find and render them. It knows views only by their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from vmem_ros.edits import Region
from vmem_ros.geometry import Camera, invert
from vmem_ros.memory import view_storage
from vmem_ros.memory.edit_log import EditLog
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.observations import Observations, distinct
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.region_search import elements_in
from vmem_ros.memory.sparse_weights import SparseWeights
from vmem_ros.memory.surfel.added_surfels import surfels_of
from vmem_ros.memory.surfel.evidence import Evidence
from vmem_ros.memory.surfel.looking_through import looked_through
from vmem_ros.memory.surfel.recognition import recognise
from vmem_ros.memory.surfel.retrieval import surfel_votes
from vmem_ros.memory.surfel.splatting import Splat, splat
from vmem_ros.memory.surfel.state_check import check_evidence, check_index
from vmem_ros.memory.surfel.surfels import SurfelCloud, SurfelStore, moved
from vmem_ros.memory.surfel.voxel_hash import VoxelHash
from vmem_ros.types import Elements, Target


class SurfelIndex:
    """Surfels in float32 relative to the place of the first view, so that worlds far from the origin keep precision.

    :param merge_factor: see :class:`~vmem_ros.memory.surfel.voxel_hash.VoxelHash`, with ``min_cosine``.
    """

    def __init__(self, device: torch.device, *, merge_factor: float, min_cosine: float) -> None:
        self._device = device
        self._merging = {"merge_factor": merge_factor, "min_cosine": min_cosine}
        self._surfels = SurfelStore(device)
        self._observations = Observations(device)
        self._evidence = Evidence(device)
        self._hash = VoxelHash(device, **self._merging)
        self._visible = Numbering(device)
        #: Weights of the last votes by surfel.
        self._weights = SparseWeights(device)
        #: Views that were asked for them.
        self._asked = torch.empty(0, dtype=torch.int64, device=device)
        self._reach = Reach(device)
        self._edits = EditLog(device)
        #: Number of surfels before each view was added, and after the last.
        self._born = [0]
        self._origin = torch.zeros(3, dtype=torch.float64)

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._born) - 1

    @property
    def cloud(self) -> SurfelCloud:
        """All surfels, relative to the origin of the index; valid until the next change."""
        return self._surfels.cloud

    @property
    def world_cloud(self) -> SurfelCloud:
        """A copy of all surfels that are not refuted, in the world frame."""
        cloud = self.cloud.select(self.standing)
        return dataclasses.replace(cloud, position=(cloud.position.double() + self._origin.to(self._device)).float())

    @property
    def standing(self) -> Tensor:
        """[n] int64 numbers of the surfels that are not refuted, ascending."""
        return (~self._evidence.refuted).nonzero().squeeze(1)

    @property
    def refuted(self) -> Tensor:
        """[N] bool: surfels that cameras looked through; see :class:`~vmem_ros.memory.surfel.evidence.Evidence`."""
        return self._evidence.refuted

    @property
    def added(self) -> Tensor:
        """[N] bool: surfels that somebody added; valid until the next change."""
        return self._evidence.added

    @property
    def added_places(self) -> Tensor:
        """[k, 3] float64: where in the world those are that were added and not removed."""
        number = self._edits.all_added(self._born)
        number = number[~self._evidence.refuted[number]]
        return self.cloud.position.index_select(0, number).double() + self._origin.to(self._device)

    @property
    def edits(self) -> EditLog:
        """What was edited."""
        return self._edits

    @property
    def observations(self) -> Observations:
        """Which view saw which surfel."""
        return self._observations

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        tables = self._weights.nbytes + self._visible.nbytes
        pairs = self._observations.nbytes + self._evidence.nbytes
        return self._surfels.nbytes + self._hash.nbytes + self._reach.nbytes + self._edits.nbytes + pairs + tables

    def local(self, T_world_camera: Tensor) -> Tensor:
        """Return poses [..., 4, 4] relative to the origin of the index, still in float64."""
        T = T_world_camera.clone()
        T[..., :3, 3] -= self._origin
        return T

    # Changing

    def add(
        self,
        new: SurfelCloud,
        T_world_camera: Tensor,
        grid: Camera,
        *,
        scale: float,
        seen: Tensor | None = None,
        through: Tensor | None = None,
        by_camera: bool = True,
    ) -> None:
        """Add the next view: its surfels, in its optical frame, are merged into old ones or appended.

        :param grid: the camera with a pixel a surfel, without skew.
        :param scale: drawn radius over surfel radius.
        :param seen: [K] int64 numbers of old surfels that the view saw besides.
        :param through: likewise, distinct, of those that it looked through.
        :param by_camera: a real camera took it.
        """
        if not len(self) and not len(self._surfels):
            self._origin = T_world_camera[:3, 3].clone()
        T = self.local(T_world_camera)
        optical, new = new, moved(new, T)
        old = self._hash.find(new, self.cloud, barred=self._evidence.refuted)
        self._recognise(optical, old, grid, T, scale)
        fresh = new.select((old < 0).nonzero().squeeze(1))
        n = len(self._surfels)
        self._surfels.append(fresh)
        self._hash.insert(fresh, n)
        every = distinct(old, seen, n, len(self._surfels))
        self._observations.append(every)
        self._reach.append(self.cloud.position, every)
        nothing = every[:0]
        self._evidence.append(
            every, nothing if through is None else through, by_camera=by_camera, surfels=len(self._surfels)
        )
        self._born.append(len(self._surfels))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views and what they added; also undoes an :meth:`add` that failed half-way."""
        n = self._born[views]
        self._hash.remove_from(n, self.cloud.after(n))
        self._evidence.truncate(views, n, self._observations)
        self._surfels.truncate(n)
        self._observations.truncate(views)
        self._reach.truncate(views)
        del self._born[views + 1 :]
        self._forget_origin()

    def edit(self, removed: Tensor, cloud: Elements | None) -> int:
        """Remove the surfels numbered ``removed`` [n] int64, add a cloud, and return how many points it has here."""
        n = len(self._surfels)
        try:
            if cloud is not None:
                new = surfels_of(cloud, self._origin, self._device)
                self._surfels.append(new)
                self._hash.insert(new, n)
            self._evidence.edit(removed, len(self._surfels))
            self._edits.append(len(self), removed, len(self._surfels) - n)
        except BaseException:
            self._take_back(removed, n)
            raise
        self._born[-1] = len(self._surfels)
        return len(self._surfels) - n

    def take_back(self) -> None:
        """Undo the last edit; no view was added since."""
        last = len(self._edits) - 1
        removed, n = self._edits.removed(last), len(self._surfels) - self._edits.added(last)
        self._edits.pop()
        self._take_back(removed, n)
        self._born[-1] = n
        self._forget_origin()

    def _take_back(self, removed: Tensor, n: int) -> None:
        self._hash.remove_from(n, self.cloud.after(n))
        self._evidence.take_back(removed, n)
        self._surfels.truncate(n)
        self._edits.trim()

    def _forget_origin(self) -> None:
        if not len(self) and not len(self._surfels):
            self._origin = torch.zeros_like(self._origin)

    def kept(self, views: Tensor) -> SurfelIndex:
        """Return an index of the views numbered ``views`` [k] int64, ascending, and the surfels that one of them saw.

        A surfel then belongs to the oldest view left that saw it, so that :meth:`truncate` stays exact. What was added
        by hand stays.
        """
        row, surfel = self._observations.of_all(views.to(self._device))
        order, born = self._edits.order_of_kept(views, row, surfel, self._born)
        number = torch.full((len(self._surfels),), -1, dtype=torch.int64, device=self._device)
        number[order] = torch.arange(len(order), device=self._device)
        counts = torch.bincount(row, minlength=len(views))
        row, through = self._evidence.through.of_all(views.to(self._device))
        left = number[through] >= 0
        against = (number[through[left]], torch.bincount(row[left], minlength=len(views)))
        by_camera = self._evidence.by_camera[views.cpu()]
        edits = self._edits.kept(views, number)
        return self._filled(
            self.cloud.select(order), number[surfel], counts, born, self._origin, against, by_camera, edits
        )

    # Asking

    def inside(self, regions: Sequence[Region]) -> Tensor:
        """Return the surfels that are not refuted and lie in one of the regions: [n] int64, ascending."""
        bounds = self._surfels.blocks.bounds
        return elements_in(regions, bounds, self.cloud.position, self._origin, ~self._evidence.refuted)

    def render(self, target: Target, *, scale: float) -> Splat:
        """Return which surfels a target sees; see :func:`~vmem_ros.memory.surfel.splatting.splat`."""
        return self._render(target.camera, self.local(target.T_world_camera), scale)

    def looked_through(self, camera: Camera, T_world_camera: Tensor, depth: Tensor) -> Tensor:
        """Return the surfels that a camera looks through; see :func:`.looking_through.looked_through`."""
        T = invert(self.local(T_world_camera))
        blocks, hidden = self._surfels.blocks, self._evidence.refuted
        return looked_through(blocks, len(self._surfels), camera, T, depth, hidden=hidden)

    def visible(self, rendered: Splat) -> Numbering:
        """Return the surfels that cover a pixel, numbered; valid until the next time something is asked."""
        self._visible.renew(rendered.ids.flatten(), len(self._surfels))
        return self._visible

    def votes(self, rendered: Splat, T_world_query: Tensor) -> tuple[Tensor, Tensor]:
        """Return (votes of each view [V], weight of each surfel [N]): each view collects what it saw.

        The weights are valid until the next votes.
        """
        visible = self.visible(rendered)
        position = self.cloud.position.index_select(0, visible.elements)
        eye = self.local(T_world_query)[:3, 3].to(position)
        direction = torch.nn.functional.normalize(position - eye, dim=-1)
        cosine = (direction * self.cloud.normal.index_select(0, visible.elements)).sum(dim=-1).abs()
        weight = self._weights.spread(visible.elements, surfel_votes(rendered, visible, cosine), len(self._surfels))
        self._asked = self._reach.near(position)
        return self._collected(weight, self._asked), weight

    def votes_without(self, weight: Tensor, views: Sequence[int]) -> Tensor:
        """Return the votes of each view [V] for the surfels that none of ``views`` saw; the others lose their weight.

        :param weight: as :meth:`votes` returned it.
        """
        for view in views:
            weight.index_fill_(0, self._observations.of(view), 0)
        return self._collected(weight, self._asked)

    def sharing(self, view: int) -> Tensor:
        """Return how many surfels each view has in common with ``view``, about: [V] int64."""
        seen = self._observations.of(view)
        weight = self._weights.spread(seen, 1, len(self._surfels))
        return self._collected(weight, self._reach.beside(view))

    def _collected(self, weight: Tensor, near: Tensor) -> Tensor:
        """Return the sum of weights [N] int64 that each view collects: [V] int64; only ``near`` ones [n] have any."""
        votes = torch.zeros(len(self), dtype=torch.int64, device=self._device)
        votes[near] = self._observations.sums(weight, near)
        return votes

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        columns = {f"surfels/{f.name}": getattr(self.cloud, f.name) for f in dataclasses.fields(self.cloud)}
        return (
            columns
            | {
                "observations/surfel": self._observations.elements,
                "observations/offset": self._observations.offsets,
                "refuted/surfel": self._evidence.through.elements,
                "refuted/offset": self._evidence.through.offsets,
                "views/by_camera": self._evidence.by_camera,
                "views/born": torch.tensor(self._born),
                "origin": self._origin,
            }
            | self._edits.state()
        )

    def restored(self, tensors: Mapping[str, Tensor], views: int) -> SurfelIndex:
        """Return an index like this one with the content that :meth:`state` returned for so many views.

        In files without evidence every view counts as a camera's, and none looked through anything.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        columns = {f.name: getattr(self.cloud, f.name) for f in dataclasses.fields(self.cloud)}
        cloud = SurfelCloud(
            **{n: view_storage.take(tensors, f"surfels/{n}", like=c, device=self._device) for n, c in columns.items()}
        )
        seen, device = self._observations, self._device
        surfel = view_storage.take(tensors, "observations/surfel", like=seen.elements, device=device)
        offset = view_storage.take(tensors, "observations/offset", like=seen.offsets, device=device)
        born = view_storage.take(tensors, "views/born", like=torch.empty(0, dtype=torch.int64)).tolist()
        origin = view_storage.take(tensors, "origin", like=self._origin)
        check_index(cloud, surfel, offset, born, origin, views)
        edits = self._edits.restored(tensors, born)
        through, ends = surfel[:0], torch.zeros(views + 1, dtype=torch.int64, device=device)
        by_camera = torch.ones(views, dtype=torch.bool)
        if {"refuted/surfel", "refuted/offset", "views/by_camera"} & tensors.keys():
            through = view_storage.take(tensors, "refuted/surfel", like=seen.elements, device=device)
            ends = view_storage.take(tensors, "refuted/offset", like=seen.offsets, device=device)
            by_camera = view_storage.take(tensors, "views/by_camera", like=self._evidence.by_camera)
            check_evidence(through, ends, by_camera, born)
        return self._filled(cloud, surfel, offset.diff(), born, origin, (through, ends.diff()), by_camera, edits)

    # Insides

    def _recognise(self, new: SurfelCloud, old: Tensor, camera: Camera, T: Tensor, scale: float) -> None:
        """Fill in ``old`` [M] for new surfels, in the optical frame, that have no match but are seen again.

        :param T: [4, 4] pose of the camera, relative to the origin.
        """
        if len(self._surfels) and bool((old < 0).any()):
            recognise(old, new, self.cloud, self._render(camera, T, scale), camera, invert(T))

    def _render(self, camera: Camera, T: Tensor, scale: float) -> Splat:
        """Return which surfels a camera sees at a pose ``T`` [4, 4] relative to the origin."""
        return splat(self.cloud, self._surfels.blocks, camera, T, scale=scale, hidden=self._evidence.refuted)

    def _filled(
        self,
        cloud: SurfelCloud,
        surfel: Tensor,
        counts: Tensor,
        born: list[int],
        origin: Tensor,
        through: tuple[Tensor, Tensor],
        by_camera: Tensor,
        edits: EditLog,
    ) -> SurfelIndex:
        """Return an index like this one with another content.

        :param through: surfels [p] that views looked through, and how many of them each view [V].
        :param by_camera: [V] bool.
        """
        index = SurfelIndex(self._device, **self._merging)
        index._born, index._origin, index._edits = born, origin.clone(), edits
        index._surfels.replace(cloud)
        index._observations.replace(surfel, counts)
        index._evidence.replace(
            by_camera, *through, index._observations, len(cloud),
            removed=edits.all_removed, added=edits.all_added(born),
        )  # fmt: skip
        index._derive()
        return index

    def _derive(self) -> None:
        """Fill in what follows from surfels and observations: the voxel hash, and the box of each view."""
        self._hash.insert(self.cloud, 0)
        row, surfel = self._observations.of_all(torch.arange(len(self), device=self._device))
        position = self.cloud.position.index_select(0, surfel)
        self._reach.replace(row, position, len(self))
