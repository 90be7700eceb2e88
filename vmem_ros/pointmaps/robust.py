"""Residuals of which up to half may be wrong: how much they spread, and how much each counts."""

from __future__ import annotations

import torch
from torch import Tensor

#: A residual counts a quarter at so many spreads.
WIDTH = 2.5


def spread(residuals: Tensor) -> Tensor:
    """Return the spread of each row [..., S]: [..., 1], NaN where nothing is known.

    It is the standard deviation that normal residuals with their median absolute value have; NaN is left out.
    """
    return 1.4826 * residuals.abs().nanmedian(dim=-1, keepdim=True).values


def geman_mcclure(residuals: Tensor, spread: Tensor) -> Tensor:
    """Return the weight of each residual, 1 at zero and falling as its fourth power far out; 0 where it is NaN.

    Source: the influence function of Geman and McClure (1987), its scale at :data:`WIDTH` spreads.
    """
    return torch.nan_to_num(1 / (1 + (residuals / (WIDTH * spread)).square()).square(), nan=0.0)
