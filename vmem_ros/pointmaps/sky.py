"""Where a picture shows sky, by colour alone: smooth, from the upper border downwards, blue or nearly white."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

# Longer side of the picture in which sky is looked for.
_SIDE = 160
# Deviation of brightness among neighbours, of 1: sky has no texture.
_SMOOTH = 0.02
# What is as bright as this in every colour may be an overcast sky, or one that is over-exposed.
_WHITE = 0.82
# A picture is taken for one of the open air if sky covers so much of it and of its upper border, and goes so far down:
# ceilings and what windows show do not.
_SHARE, _TOP, _DOWN = 0.15, 0.3, 0.3


def find_sky(image: Tensor, *, outdoors: bool = False) -> Tensor | None:
    """Return where a picture shows sky, [H, W] bool; ``None``: it does not look as if taken in the open air.

    Plain walls that are blue or white look the same: ask only where the open air is likely.

    :param image: [H, W, 3] uint8.
    :param outdoors: it is known to be: sky may have any colour and be as small as it likes, or there is none.
    """
    size = image.shape[:2]
    scale = min(1.0, _SIDE / max(size))
    small = [max(1, round(side * scale)) for side in size]
    picture = interpolate(
        image.permute(2, 0, 1)[None].float() / 255, small, mode="bilinear", antialias=True, align_corners=False
    )[0]
    candidate = _smooth(picture.mean(dim=0))
    if not outdoors:
        red, green, blue = picture
        is_blue = (blue - red > 0.02 + 0.12 * blue) & (blue >= green - 0.01) & (green >= red - 0.01) & (blue > 0.12)
        candidate &= is_blue | (picture.amin(dim=0) > _WHITE)
    sky = _from_above(candidate)
    if not outdoors:
        rows = sky.nonzero()[:, 0].float()
        if sky.float().mean() < _SHARE or sky[0].float().mean() < _TOP or rows.quantile(0.95) < _DOWN * small[0]:
            return None
    # The border of the smooth area belongs to it: what is next to an edge is not smooth.
    grown = max_pool2d(sky.float()[None, None], 3, stride=1, padding=1)
    return interpolate(grown, size, mode="bilinear", align_corners=False)[0, 0] > 0.5


def _smooth(brightness: Tensor) -> Tensor:
    """Return where the brightness [h, w] of a pixel and its eight neighbours is about the same."""

    def mean(values: Tensor) -> Tensor:
        return avg_pool2d(pad(values[None, None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0, 0]

    return (mean(brightness.square()) - mean(brightness).square()).clamp(min=0).sqrt() < _SMOOTH


def _from_above(candidate: Tensor) -> Tensor:
    """Return the parts of a mask [h, w] that are connected with its upper row."""
    out = torch.zeros_like(candidate)
    out[0] = candidate[0]
    while True:
        grown = (max_pool2d(out.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0) & candidate
        if torch.equal(grown, out):
            return out
        out = grown
