"""Places of latents: for each view that carries some, where the cells of its latent grid lie in the world.

The latents themselves stay in the views. A view's tokens are a slice, so those of few views are gathered at a cost that
does not depend on how many there are in all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from vmem_ros.geometry.lifting import Lifted
from vmem_ros.memory.growable import GrowableTensor
from vmem_ros.types import View


class Tokens:
    """Lifted cells, grouped by view; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._position = GrowableTensor((3,), torch.float32, device)
        self._cell = GrowableTensor((), torch.int32, device)
        #: Number of tokens before each view, and after the last.
        self._offset = [0]
        #: Channels of the latents of each view whose cells were lifted, else 0.
        self._channels = GrowableTensor((), torch.int32, torch.device("cpu"))

    def __len__(self) -> int:
        """Return the number of tokens."""
        return self._offset[-1]

    @property
    def position(self) -> Tensor:
        """[N, 3] float32 in metres."""
        return self._position.data

    @property
    def cell(self) -> Tensor:
        """[N] int32: the cell of each token in the latent grid of its view, row by row."""
        return self._cell.data

    @property
    def offset(self) -> list[int]:
        """View v has the tokens ``offset[v]`` to ``offset[v + 1]``."""
        return self._offset

    @property
    def channels(self) -> Tensor:
        """[V] int32: channels of the latents that were lifted, 0 where there are none."""
        return self._channels.data

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._position.nbytes + self._cell.nbytes + self._channels.nbytes

    def append(self, lifted: Lifted | None) -> None:
        """Append the next view, with its cells or without any."""
        channels = 0
        if lifted is not None:
            cell = lifted.mask.nonzero().squeeze(1)
            self._position.append(lifted.points.index_select(0, cell).float())
            self._cell.append(cell.int())
            channels = lifted.features.shape[1] if len(cell) else 0
        self._channels.append(torch.tensor([channels], dtype=torch.int32))
        self._offset.append(len(self._cell))

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views; also undoes an addition that failed."""
        self._position.truncate(self._offset[views])
        self._cell.truncate(self._offset[views])
        self._channels.truncate(views)
        del self._offset[views + 1 :]

    def replace(self, position: Tensor, cell: Tensor, offset: list[int], channels: Tensor) -> None:
        """Drop everything and keep these."""
        self._position.replace(position)
        self._cell.replace(cell)
        self._channels.replace(channels)
        self._offset = list(offset)

    def kept(self, views: Tensor, *, without: Collection[int] = ()) -> tuple[Tensor, Tensor, list[int], Tensor]:
        """Return what is left with the views numbered ``views`` [k] int64, ascending, alone, for :meth:`replace`.

        :param without: views that stay, and lose their cells.
        """
        slices = [
            slice(self._offset[v], self._offset[v] if v in without else self._offset[v + 1]) for v in views.tolist()
        ]
        offset, channels = [0], self.channels[views]
        for number, each in enumerate(slices):
            offset.append(offset[-1] + each.stop - each.start)
            channels[number] *= int(each.stop > each.start)
        position = torch.cat([self.position[:0], *(self.position[each] for each in slices)])
        cell = torch.cat([self.cell[:0], *(self.cell[each] for each in slices)])
        return position, cell, offset, channels

    def of(self, views: Sequence[tuple[int, View]]) -> Lifted:
        """Return the tokens of some views, by number, with their latents, which all have as many channels."""
        points, features = [], []
        for number, view in views:
            assert view.latent is not None, "tokens are of views with latents"
            mine = slice(self._offset[number], self._offset[number + 1])
            points.append(self.position[mine])
            features.append(view.latent.flatten(1).T.index_select(0, self.cell[mine].long()))
        cloud = torch.cat(points)
        return Lifted(cloud, torch.cat(features), torch.ones(len(cloud), dtype=torch.bool, device=self._device))
