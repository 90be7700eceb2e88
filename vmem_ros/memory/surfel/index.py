"""The index: surfels, which view saw which, and how to find and render them. It knows views only by their numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from vmem_ros.geometry import transform
from vmem_ros.memory import view_storage
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.reach import Reach
from vmem_ros.memory.sparse_weights import SparseWeights
from vmem_ros.memory.surfel.retrieval import surfel_votes
from vmem_ros.memory.surfel.splatting import Splat, splat
from vmem_ros.memory.surfel.state_check import check_index
from vmem_ros.memory.surfel.surfels import SurfelCloud, SurfelStore
from vmem_ros.memory.surfel.voxel_hash import VoxelHash
from vmem_ros.types import Target


class SurfelIndex:
    """Surfels in float32 relative to the place of the first view, so that worlds far from the origin keep precision.

    :param merge_factor: see :class:`~vmem_ros.memory.surfel.voxel_hash.VoxelHash`, with ``min_cosine``.
    """

    def __init__(self, device: torch.device, *, merge_factor: float, min_cosine: float) -> None:
        self._device = device
        self._merging = {"merge_factor": merge_factor, "min_cosine": min_cosine}
        self._surfels = SurfelStore(device)
        self._observations = Observations(device)
        self._hash = VoxelHash(device, **self._merging)
        self._visible = Numbering(device)
        #: Weights of the last votes by surfel.
        self._weights = SparseWeights(device)
        self._reach = Reach(device)
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
        """A copy of all surfels in the world frame."""
        columns = {name: column.clone() for name, column in vars(self.cloud).items()}
        columns["position"] = (self.cloud.position.double() + self._origin.to(self._device)).float()
        return SurfelCloud(**columns)

    @property
    def observations(self) -> Observations:
        """Which view saw which surfel."""
        return self._observations

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        tables = self._weights.nbytes + self._visible.nbytes
        return self._surfels.nbytes + self._hash.nbytes + self._observations.nbytes + self._reach.nbytes + tables

    def local(self, T_world_camera: Tensor) -> Tensor:
        """Return poses [..., 4, 4] relative to the origin of the index, still in float64."""
        T = T_world_camera.clone()
        T[..., :3, 3] -= self._origin
        return T

    # Changing

    def add(self, new: SurfelCloud, T_world_camera: Tensor, *, seen: Tensor | None = None) -> None:
        """Add the next view: its surfels, in its optical frame, are merged into old ones or appended.

        :param seen: [K] int64 numbers of old surfels that the view saw besides.
        """
        if len(self) == 0:
            self._origin = T_world_camera[:3, 3].clone()
        T = self.local(T_world_camera)
        rotation = T.clone()
        rotation[:3, 3] = 0
        new = dataclasses.replace(new, position=transform(T, new.position), normal=transform(rotation, new.normal))
        old = self._hash.find(new, self.cloud)
        fresh = new.select((old < 0).nonzero().squeeze(1))
        n = len(self._surfels)
        self._surfels.append(fresh)
        self._hash.insert(fresh, n)
        met = old[old >= 0] if seen is None else torch.cat([old[old >= 0], seen])
        every = torch.cat([met.unique(), torch.arange(n, n + len(fresh), device=self._device)])
        self._observations.append(every)
        self._reach.append(self.cloud.position.index_select(0, every))
        self._born.append(len(self._surfels))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views and what they added; also undoes an :meth:`add` that failed half-way."""
        n = self._born[views]
        self._hash.remove_from(n, self.cloud.after(n))
        self._surfels.truncate(n)
        self._observations.truncate(views)
        self._reach.truncate(views)
        del self._born[views + 1 :]
        if not views:
            self._origin = torch.zeros_like(self._origin)

    def kept(self, views: Tensor) -> SurfelIndex:
        """Return an index of the views numbered ``views`` [k] int64, ascending, and the surfels that one of them saw.

        A surfel then belongs to the oldest view left that saw it, so that :meth:`truncate` stays exact.
        """
        row, surfel = self._observations.of_all(views.to(self._device))
        first = torch.full((len(self._surfels),), len(views), dtype=torch.int64, device=self._device)
        first.scatter_reduce_(0, surfel, row, "amin")
        order = torch.argsort(first, stable=True)[: int((first < len(views)).sum())]
        number = torch.full_like(first, -1)
        number[order] = torch.arange(len(order), device=self._device)
        born = [0, *torch.bincount(first[order], minlength=len(views)).cumsum(0).tolist()]
        counts = torch.bincount(row, minlength=len(views))
        return self._filled(self.cloud.select(order), number[surfel], counts, born, self._origin)

    # Asking

    def render(self, target: Target, *, scale: float) -> Splat:
        """Return which surfels a target sees; see :func:`~vmem_ros.memory.surfel.splatting.splat`."""
        T = self.local(target.T_world_camera)
        return splat(self.cloud, self._surfels.blocks, target.camera, T, scale=scale)

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
        votes = torch.zeros(len(self), dtype=torch.int64, device=self._device)
        near = self._reach.near(position)
        votes[near] = self._observations.sums(weight, near)
        return votes, weight

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        columns = {f"surfels/{f.name}": getattr(self.cloud, f.name) for f in dataclasses.fields(self.cloud)}
        return columns | {
            "observations/surfel": self._observations.elements,
            "observations/offset": self._observations.offsets,
            "views/born": torch.tensor(self._born),
            "origin": self._origin,
        }

    def restored(self, tensors: Mapping[str, Tensor], views: int) -> SurfelIndex:
        """Return an index like this one with the content that :meth:`state` returned for so many views.

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
        return self._filled(cloud, surfel, offset.diff(), born, origin)

    # Insides

    def _filled(
        self, cloud: SurfelCloud, surfel: Tensor, counts: Tensor, born: list[int], origin: Tensor
    ) -> SurfelIndex:
        """Return an index like this one with another content."""
        index = SurfelIndex(self._device, **self._merging)
        index._born, index._origin = born, origin.clone()
        index._surfels.replace(cloud)
        index._observations.replace(surfel, counts)
        index._derive()
        return index

    def _derive(self) -> None:
        """Fill in what follows from surfels and observations: the voxel hash, and the box of each view."""
        self._hash.insert(self.cloud, 0)
        row, surfel = self._observations.of_all(torch.arange(len(self), device=self._device))
        position = self.cloud.position.index_select(0, surfel)
        self._reach.replace(row, position, len(self))
