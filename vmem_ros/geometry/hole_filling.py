"""Holes of pictures and depth maps filled from around them, from near where something is near: the push-pull pyramid.

A hole that is encoded as it is spoils the latent of every cell at its border, and says nothing of the cells within.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate


def fill_holes(images: Tensor, seen: Tensor) -> Tensor:
    """Return the images with smooth colours where nothing is seen; zero in an image of which nothing is.

    :param images: [N, C, H, W] floating point; the values of holes do not matter, if they are finite.
    :param seen: [N, H, W] bool.
    """
    # A cell's mean counts as much as the share of the cell that is seen.
    return _push_pull(images, seen[:, None].to(images), _bilinear, share=lambda weight: weight)


def fill_picture(picture: Tensor, seen: Tensor) -> Tensor:
    """Return :func:`fill_holes` of one picture [H, W, C] floating point, of which ``seen`` [H, W] bool is known."""
    return fill_holes(picture.permute(2, 0, 1)[None], seen[None])[0].permute(1, 2, 0)


def fill_depth(depth: Tensor) -> Tensor:
    """Return z-depth [..., H, W] with its NaN and infinite pixels filled; where all of an image is, it stays NaN.

    Inverse depth is continued, for it is linear over a plane. Each known pixel weighs by its squared depth: what
    appears from behind an object is the background, not something half-way.
    """
    known = torch.isfinite(depth)
    images = (-1, 1, *depth.shape[-2:])
    weight = torch.where(known, depth.square(), 0.0).view(images)
    inverse = torch.where(known, 1 / depth, 0.0).view(images)

    def enlarge(coarse: Tensor, size: tuple[int, int]) -> Tensor:
        # Here, too, every value weighs by its squared depth: (1 / d) * d^2 over d^2.
        return _bilinear(1 / coarse, size) / _bilinear(1 / coarse.square(), size)

    filled = _push_pull(inverse, weight, enlarge, share=lambda weight: (weight > 0).to(weight)).view(depth.shape)
    return torch.where(known, depth, torch.where(filled > 0, 1 / filled, torch.nan))


def _push_pull(
    values: Tensor,
    weight: Tensor,
    enlarge: Callable[[Tensor, tuple[int, int]], Tensor],
    share: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return values [N, C, H, W] continued smoothly where their weight [N, 1, H, W] is zero.

    Push: each level is half as large, the weighted mean of the one before. Pull: from the smallest on, each level is
    laid over the enlarged smaller one (Gortler et al., The Lumigraph, 1996).

    :param enlarge: returns the values of a level in the (height, width) of the next.
    :param share: how much of its own values a level keeps, 0 to 1, from their weight.
    """
    levels = [(values, weight)]
    while max(values.shape[-2:]) > 1:
        total, weight = (avg_pool2d(each, 2, ceil_mode=True) for each in (values * weight, weight))
        values = torch.where(weight > 0, total / weight, 0.0)
        levels.append((values, weight))
    values, weight = levels.pop()
    filled = torch.where(weight > 0, values, 0.0)
    for values, weight in reversed(levels):
        own = share(weight)
        filled = enlarge(filled, (values.shape[-2], values.shape[-1])) * (1 - own) + values * own
    return filled


def _bilinear(values: Tensor, size: tuple[int, int]) -> Tensor:
    enlarged: Tensor = interpolate(values, size, mode="bilinear", align_corners=False)
    return enlarged
