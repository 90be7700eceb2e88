"""How near drawn views come to the truth, for the sample sheets of networks that are told what memory shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vmem_ros.evaluation.metrics import psnr

# PSNR of identical images, as at the pose of a view that memory holds: what rounding to whole numbers leaves.
_EXACT_DB = 58.9
# Views with smaller holes say nothing of these.
_LEAST_UNSEEN = 0.01


class ViewScores:
    """PSNR of views of several sets."""

    def __init__(self) -> None:
        self._drawn: list[float] = []
        self._memory: list[float] = []
        self._unseen: list[float] = []

    def add(
        self, drawn: Sequence[Tensor], truth: Sequence[Tensor], shown: Sequence[Tensor], seen: Sequence[Tensor]
    ) -> float:
        """Return the mean PSNR in dB of the views of one set.

        :param drawn: [H, W, 3] uint8 each, as ``truth`` and ``shown``, which memory shows alone, where it is ``seen``
            [H, W] bool.
        """
        scores = [psnr(a, b) for a, b in zip(drawn, truth, strict=True)]
        self._drawn += scores
        self._memory += [psnr(a, b) for a, b in zip(shown, truth, strict=True)]
        self._unseen += [
            psnr(a, b, mask=~known)
            for a, b, known in zip(drawn, truth, seen, strict=True)
            if bool((~known).float().mean() > _LEAST_UNSEEN)
        ]
        return float(np.mean(scores))

    def figures(self) -> dict[str, float]:
        """Return means over all views, for the log."""
        named = {"psnr_dB": self._drawn, "psnr_memory_alone_dB": self._memory, "psnr_unseen_dB": self._unseen}
        return {name: float(np.minimum(values, _EXACT_DB).mean()) for name, values in named.items() if values}
