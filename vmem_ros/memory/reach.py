"""Where the elements lie that each view saw: which views need not be asked about a place at all."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_notes as compiled
from vmem_ros.memory.growable import GrowableTensor


class Reach:
    """A box around what each view saw; views are numbered in the order they were appended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._boxes = GrowableTensor((2, 3), torch.float32, device)

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return self._boxes.nbytes

    def append(self, points: Tensor, index: Tensor | None = None) -> None:
        """Append the next view, which saw ``points`` [n, 3], or those numbered ``index`` [m] int64.

        None make an empty box.
        """
        self._boxes.append(self._box(points, index)[None])

    def truncate(self, views: int) -> None:
        """Keep the first ``views`` views."""
        self._boxes.truncate(views)

    def replace(self, row: Tensor, points: Tensor, views: int) -> None:
        """Drop everything; of ``views`` views, view ``row[i]`` [n] int64 saw ``points[i]`` [n, 3]."""
        high = torch.full((views, 3), -torch.inf, device=self._device)
        low = -high
        index = row[:, None].expand(-1, 3)
        low.scatter_reduce_(0, index, points, "amin")
        high.scatter_reduce_(0, index, points, "amax")
        self._boxes.replace(torch.stack([low, high], dim=1))

    def near(self, points: Tensor) -> Tensor:
        """Return the views [v] int64 that may have seen one of the points [n, 3]: their boxes meet the points' box."""
        if not len(points):
            return torch.empty(0, dtype=torch.int64, device=self._device)
        return self._meeting(points.amin(dim=0), points.amax(dim=0))

    def beside(self, view: int) -> Tensor:
        """Return the views [v] int64 that may have seen something of what a view saw, it among them if it saw any."""
        return self._meeting(*self._boxes.data[view])

    def _meeting(self, lowest: Tensor, highest: Tensor) -> Tensor:
        low, high = self._boxes.data.unbind(1)
        return ((low <= highest) & (high >= lowest)).all(dim=-1).nonzero().squeeze(1)

    def _box(self, points: Tensor, index: Tensor | None) -> Tensor:
        """Return the box [2, 3] around points, or those numbered ``index``."""
        if library := usable(points):
            return compiled.box(library, points, index)
        points = points if index is None else points.index_select(0, index)
        if not len(points):
            return torch.tensor([[torch.inf] * 3, [-torch.inf] * 3], device=self._device)
        return torch.stack([points.amin(dim=0), points.amax(dim=0)])
