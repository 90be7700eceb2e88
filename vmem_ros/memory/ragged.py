"""Lists of different lengths, laid one after the other: where every item belongs."""

from __future__ import annotations

import torch
from torch import Tensor


def items_of(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return, for ``counts`` [n] items of n owners, each item's owner and its number within the owner, int64."""
    owner = torch.repeat_interleave(counts)
    return owner, torch.arange(len(owner), device=counts.device) - (counts.cumsum(0) - counts).index_select(0, owner)
