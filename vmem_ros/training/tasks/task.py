"""What the training loop asks of a task."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn


class Task(Protocol):
    """What is trained, on what, and what comes of it."""

    @property
    def network(self) -> nn.Module:
        """What is trained: those of its parameters that require gradients."""
        ...

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, a scalar, and figures for the log.

        :param network: :attr:`network`, as the loop has wrapped it.
        :param first: number of the first of ``count`` samples; equal numbers give equal samples.
        :param generator: on the CPU, for all else that is random.
        """
        ...

    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw a sample sheet with the network as it is now, and return figures of it."""
        ...

    def save(self, folder: Path) -> str:
        """Write the result of the training, and return a sentence that says what it is."""
        ...

    def close(self) -> None:
        """End what runs beside the training."""
        ...
