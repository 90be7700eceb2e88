"""Holes of a picture filled from around them, from near where something is near: the push-pull pyramid.

A hole that is encoded as it is spoils the latent of every cell at its border, and says nothing of the cells within.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_holes(images: Tensor, seen: Tensor) -> Tensor:
    """Return the images with smooth colours where nothing is seen; zero in an image of which nothing is.

    Push: pictures of half the size average what is seen. Pull: from the smallest on, every picture is laid over the
    enlarged smaller one, as far as its pixels are seen (Gortler et al., The Lumigraph, 1996).

    :param images: [N, C, H, W] floating point; the values of holes do not matter, if they are finite.
    :param seen: [N, H, W] bool.
    """
    weight = seen[:, None].to(images)
    total = images * weight
    levels = [(total, weight)]
    while max(total.shape[-2:]) > 1:
        total, weight = (F.avg_pool2d(each, 2, ceil_mode=True) for each in (total, weight))
        levels.append((total, weight))
    total, weight = levels.pop()
    filled = total / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    for total, weight in reversed(levels):
        filled = F.interpolate(filled, total.shape[-2:], mode="bilinear", align_corners=False)
        # The mean of what is seen, where anything is, counts as much as its share.
        filled = filled * (1 - weight) + total
    return filled
