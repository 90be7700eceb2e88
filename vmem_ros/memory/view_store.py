"""The stored views of a memory, in order, with what belongs to each: pose, bytes, commit, usefulness.

Every memory keeps one of these and adds its own geometry to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import NothingToUndoError, WorldFileError
from vmem_ros.geometry import geodesic_distance
from vmem_ros.memory import sky, view_storage
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.memory.view_quality import sharpness
from vmem_ros.types import Target, View

# Entries of two poses that are the same differ at most so much: what a chain of transforms loses to rounding.
_SAME_POSE = 1e-6
# No counter of a world that somebody has walked through comes so far.
_MOST = 2**48
# Nor does an exposure: 22,000 times as bright as the first view, or as dark.
_MOST_LOG_EXPOSURE = 10.0
# Reads after which the votes of a read count little for what is forgotten: e^-1.
_VOTES_LAST = 64


class ViewStore:
    """Views that can be appended to the end and cut off from it."""

    def __init__(self) -> None:
        cpu = torch.device("cpu")
        self._views: list[View] = []
        self._poses = GrowableTensor((4, 4), torch.float64, cpu)
        self._bytes = GrowableTensor((), torch.int64, cpu)
        self._total_bytes = 0
        #: Votes each view has received in the last reads.
        self._votes = GrowableTensor((), torch.int64, cpu)
        #: Number of the commit of each view.
        self._commit = GrowableTensor((), torch.int64, cpu)
        #: Whether a camera looked at nothing in it.
        self._sky = GrowableTensor((), torch.bool, cpu)
        #: Whether a real camera took it.
        self._observed = GrowableTensor((), torch.bool, cpu)
        #: Logarithm of the exposure of each view, by channel.
        self._exposure = GrowableTensor((3,), torch.float32, cpu)
        #: How sharp the picture of each view is.
        self._sharpness = GrowableTensor((), torch.float32, cpu)
        #: Label of the commit of each view.
        self._labels: list[str] = []

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> View:
        return self._views[index]

    @property
    def views(self) -> Sequence[View]:
        """All views, oldest first."""
        return tuple(self._views)

    @property
    def poses(self) -> Tensor:
        """[V, 4, 4] float64 ``T_world_camera``; valid until the next change."""
        return self._poses.data

    @property
    def observed(self) -> Tensor:
        """[V] bool: a real camera took the view; valid until the next change."""
        return self._observed.data

    @property
    def exposures(self) -> Tensor:
        """[V, 3] float32, see :mod:`vmem_ros.memory.exposure`; valid until the next change."""
        return self._exposure.data

    @property
    def sharpness(self) -> Tensor:
        """[V] float32, see :func:`.view_quality.sharpness`; valid until the next change."""
        return self._sharpness.data

    @property
    def nbytes(self) -> int:
        """Bytes of the views' tensors."""
        return self._total_bytes

    @property
    def commits(self) -> Sequence[int]:
        """Number of views of each commit that is left, oldest first."""
        return tuple(torch.unique_consecutive(self._commit.data, return_counts=True)[1].tolist())

    def sky_near(self, target: Target) -> list[View]:
        """Return the views in which a camera looked at nothing, those with the nearest poses; nearest first."""
        index = self._sky.data.nonzero().squeeze(1)
        if not len(index):
            return []
        distance = geodesic_distance(self._poses.data[index], target.T_world_camera)
        return [self._views[i] for i in index[distance.argsort(stable=True)[: sky.ASKED]].tolist()]

    def find(self, target: Target) -> int | None:
        """Return the number of the newest view with this camera and pose, or ``None``."""
        difference = (self._poses.data - target.T_world_camera).abs()
        same = (difference <= _SAME_POSE).all(dim=-1).all(dim=-1).nonzero().squeeze(1)
        for index in reversed(same.tolist()):
            if self._views[index].camera == target.camera:
                return index
        return None

    # -- changing ----------------------------------------------------------------------------------------------------
    def append(self, view: View, *, label: str, extends: bool, exposure: Tensor | None = None) -> None:
        """Append a view that lies on the memory's device, with depth and confidence.

        :param label: of its commit.
        :param extends: it belongs to the commit of the view before; otherwise a new commit begins.
        :param exposure: [3]; ``None``: nothing is known of it.
        """
        last = int(self._commit.data[-1]) if len(self) else -1
        self._views.append(view)
        self._poses.append(view.T_world_camera[None])
        size = view.nbytes
        self._bytes.append(torch.tensor([size]))
        self._total_bytes += size
        # Nothing has been asked of it yet: neither better nor worse than most.
        usual = self._votes.data.median() if len(self._votes) else torch.tensor(0)
        self._votes.append(usual[None])
        self._commit.append(torch.tensor([last if extends and last >= 0 else last + 1]))
        self._sky.append(torch.tensor([sky.sees_nothing(view)]))
        self._observed.append(torch.tensor([view.source == "observed"]))
        self._exposure.append(torch.zeros(1, 3) if exposure is None else exposure[None])
        self._sharpness.append(torch.tensor([sharpness(_middle(view.image))]))
        self._labels.append(label)

    def replace(self, index: int, view: View) -> None:
        """Replace a view by another one of the same camera, pose, source and commit."""
        size, kinds = view.nbytes, (sky.sees_nothing(view), sharpness(_middle(view.image)))
        self._total_bytes += size - int(self._bytes.data[index])
        for column, value in zip((self._bytes, self._sky, self._sharpness), (size, *kinds), strict=True):
            column.data[index] = value
        self._views[index] = view

    def check_boundaries(self, views: Sequence[int]) -> None:
        """Raise :class:`WorldFileError` unless a commit begins after so many views, each of them."""
        inside = [v for v in views if 0 < v < len(self) and self._commit.data[v - 1] == self._commit.data[v]]
        if inside:
            raise WorldFileError("the world file is inconsistent: an edit lies within a commit of views")

    def extends(self, label: str) -> bool:
        """Return whether a write with this label extends the newest commit."""
        return bool(label) and self._labels[-1:] == [label]

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` views."""
        self._total_bytes -= int(self._bytes.data[length:].sum())
        for column in self._columns():
            column.truncate(length)
        del self._views[length:], self._labels[length:]

    def length_before(self, n: int) -> int:
        """Return how many views are left without the last ``n`` commits.

        :raises NothingToUndoError: there are fewer.
        """
        counts = self.commits
        if n < 1 or n > len(counts):
            raise NothingToUndoError(f"cannot undo {n} commits: {len(counts)} are stored")
        return len(self) - sum(counts[-n:])

    def keep(self, index: Tensor) -> None:
        """Keep the views numbered ``index`` [k] int64, ascending."""
        self._views, self._labels = ([each[i] for i in index.tolist()] for each in (self._views, self._labels))
        for column in self._columns():
            column.replace(column.data[index])
        self._total_bytes = int(self._bytes.data.sum())

    # -- usefulness --------------------------------------------------------------------------------------------------
    def count_votes(self, votes: Tensor) -> None:
        """Note the votes [V] int64 of a read; those of earlier reads fade."""
        usefulness = self._votes.data
        usefulness += votes.cpu() - usefulness // _VOTES_LAST

    def least_useful(self, n: int, *, among: int) -> Tensor:
        """Return the ``n`` of the first ``among`` views with the fewest votes, older ones first: [n] int64."""
        return torch.argsort(self._votes.data[:among], stable=True)[:n]

    # -- saving ------------------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Return everything as named tensors and JSON-able metadata."""
        tensors, metadata = view_storage.pack_views(self._views)
        columns = {
            "views/popularity": self._votes.data,
            "views/commit": self._commit.data,
            "views/log_exposure": self._exposure.data,
        }
        return tensors | columns, metadata

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], device: torch.device) -> ViewStore:
        """Return a store of what :meth:`state` returned; in files without commits each view is one of its own, and
        in files without exposures all are alike.

        :raises WorldFileError: missing, inconsistent or out-of-range entries.
        """
        out = cls()
        for view in view_storage.unpack_views(tensors, metadata, device):
            out.append(view, label="", extends=False)
        votes = view_storage.take(tensors, "views/popularity", like=out._votes.data)
        if len(votes) != len(out):
            raise WorldFileError(f"the world file has {len(out)} views but votes for {len(votes)}")
        if bool(((votes < 0) | (votes > _MOST)).any()):
            raise WorldFileError(f"the world file has votes that are not within 0 and {_MOST}")
        out._votes.replace(votes)
        if "views/commit" in tensors:
            commit = view_storage.take(tensors, "views/commit", like=out._commit.data)
            if (
                len(commit) != len(out)
                or bool((commit.diff() < 0).any())
                or bool(((commit < 0) | (commit > _MOST)).any())
            ):
                raise WorldFileError(f"the world file has {len(out)} views, and their commits do not fit")
            out._commit.replace(commit)
        if "views/log_exposure" in tensors:
            exposure = view_storage.take(tensors, "views/log_exposure", like=out._exposure.data)
            if len(exposure) != len(out) or not bool((exposure.abs() <= _MOST_LOG_EXPOSURE).all()):
                raise WorldFileError(f"the world file has {len(out)} views, and their exposures do not fit")
            out._exposure.replace(exposure)
        return out

    def _columns(self) -> tuple[GrowableTensor, ...]:
        """Return everything that is kept of a view beside it and its label."""
        return (
            self._poses, self._bytes, self._votes, self._commit, self._sky, self._observed, self._exposure,
            self._sharpness,
        )  # fmt: skip


def _middle(image: Tensor) -> Tensor:
    """Return the middle ninth of an image [H, W, 3]: a camera that moves blurs all of it."""
    height, width = image.shape[:2]
    return image[height // 3 : height - height // 3, width // 3 : width - width // 3]
