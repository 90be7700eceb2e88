"""Depth that a network doubts: the less it knows of a pixel, the more the pixel goes with all others."""

from __future__ import annotations

import torch
from torch import Tensor

# Deviation of log depth at which a pixel is as likely where the smooth surface through the picture has it.
_SURFACE = 0.35
# Errors of neighbouring pixels are alike, and a few sure ones must not say how the surface goes on far away.
_LEAST_DEVIATION = 0.25
# The surface stays within so much of the range of depths that it goes through.
_BEYOND = 0.7


def calmed(log_depth: Tensor, deviation: Tensor) -> Tensor:
    """Return log depth [H, W] drawn towards a smooth surface, each pixel as far as it is doubted.

    The surface is the one of second order in inverse depth (a plane is of first order) that fits the picture best,
    pixels weighted by how sure they are. A network that looks at what it was not trained on invents bumps, which bend
    straight edges as soon as the camera moves; it says of itself that it does not know them.

    :param deviation: [H, W] standard deviation of log depth.
    """
    height, width = log_depth.shape
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=log_depth.device),
        torch.linspace(-1, 1, width, device=log_depth.device),
        indexing="ij",
    )
    terms = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=-1).view(-1, 6).double()
    inverse = (-log_depth.double()).exp().flatten()
    weight = 1 / (deviation.double().square() + _LEAST_DEVIATION**2).flatten()
    weighted = terms * weight[:, None]
    fitted = terms @ torch.linalg.solve(weighted.T @ terms, weighted.T @ inverse)
    surface = -fitted.clamp(_BEYOND * inverse.min(), inverse.max() / _BEYOND).log().view(height, width).to(log_depth)
    share = deviation.square() / (deviation.square() + _SURFACE**2)
    return share * surface + (1 - share) * log_depth
