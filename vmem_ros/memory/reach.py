"""Where the elements lie that each view saw: which views need not be asked about a place at all."""

from __future__ import annotations

import torch
from torch import Tensor

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

    def append(self, points: Tensor) -> None:
        """Append the next view, which saw ``points`` [n, 3]; none make an empty box."""
        if len(points):
            self._boxes.append(torch.stack([points.amin(dim=0), points.amax(dim=0)])[None])
        else:
            self._boxes.append(torch.tensor([[[torch.inf] * 3, [-torch.inf] * 3]], device=self._device))

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
        low, high = self._boxes.data.unbind(1)
        return ((low <= points.amax(dim=0)) & (high >= points.amin(dim=0))).all(dim=-1).nonzero().squeeze(1)
