"""The index: samples of surfaces, voxels that views saw, places of latents. It knows views only by their numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vmem_ros.geometry.lifting import Lifted
from vmem_ros.memory import view_storage
from vmem_ros.memory.latent.occupied import Occupied, first_of_each
from vmem_ros.memory.latent.samples import Samples, SampleStore
from vmem_ros.memory.latent.state_check import check_index
from vmem_ros.memory.latent.tokens import Tokens
from vmem_ros.memory.latent.voxels import Voxels
from vmem_ros.memory.numbering import Numbering
from vmem_ros.memory.square_splatting import Splat, splat
from vmem_ros.types import Target

# What is nearer to an older sample than so many times the space between samples is not sampled again.
_BESIDE = 0.75


class LatentIndex:
    """Everything in float32 relative to the place of the first view, so that far worlds keep precision.

    :param voxel: side of the voxels in metres.
    """

    def __init__(self, device: torch.device, *, voxel: float) -> None:
        self._device = device
        self._origin = torch.zeros(3, dtype=torch.float64)
        self._store = SampleStore(device)
        self._occupied = Occupied(device)
        self._voxels = Voxels(device, voxel)
        self._tokens = Tokens(device)
        self._visible = Numbering(device)
        #: Number of samples and of voxels before each view was added, and after the last.
        self._born = [(0, 0)]

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._born) - 1

    @property
    def store(self) -> SampleStore:
        """The samples; valid until the next change."""
        return self._store

    @property
    def voxels(self) -> Voxels:
        """Which view saw which voxel."""
        return self._voxels

    @property
    def tokens(self) -> Tokens:
        """Places of latents."""
        return self._tokens

    @property
    def world_position(self) -> Tensor:
        """[N, 3] float32: a copy of the places of all samples in the world frame."""
        return (self._store.position.double() + self._origin.to(self._device)).float()

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        parts = (self._store, self._occupied, self._voxels, self._tokens, self._visible)
        return sum(part.nbytes for part in parts)

    def local(self, T_world_camera: Tensor) -> Tensor:
        """Return poses [..., 4, 4] relative to the origin of the index, float64."""
        T = T_world_camera.clone()
        T[..., :3, 3] -= self._origin
        return T

    # Changing

    def begin(self, T_world_camera: Tensor) -> None:
        """Make the place of the first view the origin; of no effect later."""
        if not len(self):
            self._origin = T_world_camera[:3, 3].clone()

    def add(self, new: Samples, lifted: Lifted | None, seen: Tensor) -> None:
        """Add the next view; :meth:`begin` first.

        Of its samples those are kept that lie where nothing as fine was sampled before: what a camera saw where no
        camera had seen anything, what was imagined where nothing is known.

        :param new: all of one kind, relative to the origin.
        :param lifted: its latents, likewise.
        :param seen: [s] int64 numbers of older samples that the view saw besides.
        """
        near = self._occupied.near(new.position, new.level)
        if bool(new.observed.all()):
            met = near[:, 0]
            known = self._occupied.seen_at(new.position, new.level) | self._is_beside(new, met)
        else:
            met = torch.where(near[:, 0] >= 0, near[:, 0], near[:, 1])
            known = met >= 0
        index = (~known).nonzero().squeeze(1)
        index = index[first_of_each(new.position.index_select(0, index), new.level.index_select(0, index))]
        fresh, n = new.select(index), len(self._store)
        voxel = self._voxels.numbers(fresh.position)
        # Who sees a surface again sees the same voxels, though it measures it a little beside.
        old = torch.cat([met[met >= 0], seen])
        every = torch.cat([voxel, self._store.voxel.index_select(0, old).long()]).unique()
        self._store.append(fresh, voxel)
        self._occupied.take(fresh.position, fresh.level, fresh.observed, n)
        self._tokens.append(lifted)
        self._voxels.append(every)
        self._born.append((len(self._store), len(self._voxels)))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views and what they added; also undoes an addition that failed."""
        samples, voxels = self._born[views]
        gone = self._store.samples.select(torch.arange(samples, len(self._store), device=self._device))
        self._occupied.give_back(gone.position, gone.level, samples)
        self._store.truncate(samples)
        self._voxels.truncate(views, voxels)
        self._tokens.truncate(views)
        del self._born[views + 1 :]
        if not views:
            self._origin = torch.zeros_like(self._origin)

    def kept(self, views: Tensor) -> LatentIndex:
        """Return an index of the views numbered ``views`` [k] int64, ascending, and of the samples that lie in voxels
        that one of them saw. A sample then belongs to the oldest of these."""
        seen = self._voxels.seen
        row, voxel = seen.of_all(views.to(self._device))
        first = torch.full((len(self._voxels),), len(views), dtype=torch.int64, device=self._device)
        first.scatter_reduce_(0, voxel, row, "amin")
        voxel_order = torch.argsort(first, stable=True)[: int((first < len(views)).sum())]
        number = torch.full_like(first, -1)
        number[voxel_order] = torch.arange(len(voxel_order), device=self._device)
        owner = first.index_select(0, self._store.voxel.long())
        order = torch.argsort(owner, stable=True)[: int((owner < len(views)).sum())]
        samples = _born(owner[order], len(views))
        voxels = _born(first[voxel_order], len(views))
        return self._filled(
            self._store.samples.select(order),
            number[self._store.voxel.index_select(0, order).long()],
            self._voxels.keys[voxel_order],
            number[voxel],
            torch.bincount(row, minlength=len(views)),
            list(zip(samples, voxels, strict=True)),
            self._origin,
            self._tokens.kept(views),
        )

    # Asking

    def render(self, target: Target, *, scale: float) -> Splat:
        """Return which samples a target sees; see :func:`~vmem_ros.memory.square_splatting.splat`."""
        return splat(self._store, target.camera, self.local(target.T_world_camera), scale=scale)

    def visible(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distinct voxels [m] int64 of the samples among ``ids`` [p] int64, where -1 is none, and how many
        times each is among them [m] int64."""
        shown = ids[ids >= 0]
        self._visible.renew(self._store.voxel.index_select(0, shown).long(), len(self._voxels))
        voxels = self._visible.elements
        counts = torch.bincount(
            self._visible.of(self._store.voxel.index_select(0, shown).long()), minlength=len(voxels)
        )
        return voxels, counts

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors."""
        samples, seen = self._store.samples, self._voxels.seen
        return {
            **{f"samples/{name}": column for name, column in vars(samples).items()},
            "samples/voxel": self._store.voxel,
            "voxels/key": self._voxels.keys,
            "voxels/side": torch.tensor([self._voxels.side], dtype=torch.float64),
            "observations/voxel": seen.elements,
            "observations/offset": seen.offsets,
            "tokens/position": self._tokens.position,
            "tokens/cell": self._tokens.cell,
            "tokens/offset": torch.tensor(self._tokens.offset),
            "tokens/channels": self._tokens.channels,
            "views/born": torch.tensor(self._born),
            "origin": self._origin,
        }

    def restored(self, tensors: Mapping[str, Tensor], views: int) -> LatentIndex:
        """Return an index like this one with the content that :meth:`state` returned for so many views.

        Of views that have no latent any more, for it was another model's, no cells are left either.

        :raises WorldFileError: missing, inconsistent or out-of-range entries, or voxels of another size.
        """
        mine = self.state()
        on_cpu = {"views/born", "origin", "voxels/side", "tokens/offset", "tokens/channels"}
        taken = {
            name: view_storage.take(tensors, name, like=like, device="cpu" if name in on_cpu else self._device)
            for name, like in mine.items()
        }
        latents = [tensors.get(f"views/{number}/latent") for number in range(views)]
        check_index(taken, views, latents, self._voxels.side)
        tokens = Tokens(self._device)
        tokens.replace(
            taken["tokens/position"],
            taken["tokens/cell"],
            taken["tokens/offset"].tolist(),
            taken["tokens/channels"],
        )
        return self._filled(
            Samples(*(taken[f"samples/{name}"] for name in ("position", "size", "level", "color", "observed"))),
            taken["samples/voxel"],
            taken["voxels/key"],
            taken["observations/voxel"],
            taken["observations/offset"].diff(),
            [(samples, voxels) for samples, voxels in taken["views/born"].tolist()],
            taken["origin"],
            tokens.kept(torch.arange(views), without={i for i, latent in enumerate(latents) if latent is None}),
        )

    # Insides

    def _is_beside(self, new: Samples, old: Tensor) -> Tensor:
        """Return [n] bool: a new sample lies so near to an old one [n] int64, or -1, that it adds nothing."""
        position = self._store.position[old.clamp(min=0)] if len(self._store) else new.position
        distance = torch.linalg.vector_norm(new.position - position, dim=-1)
        return (old >= 0) & (distance < _BESIDE * new.size)

    def _filled(
        self,
        samples: Samples,
        voxel: Tensor,
        keys: Tensor,
        seen: Tensor,
        counts: Tensor,
        born: list[tuple[int, int]],
        origin: Tensor,
        tokens: tuple[Tensor, Tensor, list[int], Tensor],
    ) -> LatentIndex:
        """Return an index like this one with another content."""
        index = LatentIndex(self._device, voxel=self._voxels.side)
        index._origin, index._born = origin.clone(), born
        index._store.append(samples, voxel)
        index._occupied.take(samples.position, samples.level, samples.observed, 0)
        index._voxels.replace(keys, seen, counts)
        index._tokens.replace(*tokens)
        return index


def _born(owner: Tensor, views: int) -> list[int]:
    """Return how many of elements that belong to views [n], ascending, there are before each view and after all."""
    return [0, *torch.bincount(owner, minlength=views).cumsum(0).tolist()]
