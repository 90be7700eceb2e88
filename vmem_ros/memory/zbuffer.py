"""A z-buffer of integers: which element of a memory a pixel shows, in one number whose minimum wins.

From the highest bit down: whether the element is imagined, its depth, its id. So what a camera has seen hides what was
only imagined, wherever that lies: imagination fills the gaps of memory and never covers it. Among equals the nearer
wins, then the older. The minimum does not depend on the order of the fragments.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: An empty pixel.
EMPTY = torch.iinfo(torch.int64).max
_SEEN = torch.iinfo(torch.int64).min


def empty_buffer(pixels: int, device: torch.device) -> Tensor:
    """Return a buffer [pixels] int64 that shows nothing."""
    return torch.full((pixels,), EMPTY, dtype=torch.int64, device=device)


def tags(ids: Tensor, seen: Tensor) -> Tensor:
    """Return the bits [n] int64 of elements that are the same for all their fragments.

    :param ids: [n] int64 below 2^32.
    :param seen: [n] bool: a camera has seen the element. (The sign bit is the highest: negative numbers come first.)
    """
    return torch.where(seen, ids | _SEEN, ids)


def draw(buffer: Tensor, pixel: Tensor, depth: Tensor, tag: Tensor) -> None:
    """Lower ``buffer`` by fragments at ``pixel`` [f] with positive ``depth`` [f] float32 and ``tag`` [f]."""
    # The bits of positive floats order like the floats.
    buffer.scatter_reduce_(0, pixel, (depth.view(torch.int32).long() << 32) | tag, "amin")


def ids_of(buffer: Tensor) -> Tensor:
    """Return [pixels] int64 of the element that each pixel shows, or -1."""
    return torch.where(buffer == EMPTY, -1, buffer & 0xFFFFFFFF)


def depth_of(buffer: Tensor, *, empty: float) -> Tensor:
    """Return [pixels] float32 depths, ``empty`` where there is nothing."""
    return torch.where(buffer == EMPTY, empty, _depth_bits(buffer).view(torch.float32))


def seen_depth_of(buffer: Tensor) -> Tensor:
    """Return [pixels] float32 depths of elements that a camera has seen; infinite where there is none."""
    return torch.where(buffer < 0, _depth_bits(buffer).view(torch.float32), torch.inf)


def imagined_in(buffer: Tensor) -> Tensor:
    """Return [pixels] bool: there is something, and no camera has seen it."""
    return (buffer >= 0) & (buffer != EMPTY)


def _depth_bits(buffer: Tensor) -> Tensor:
    return (buffer >> 32).int().bitwise_and_(0x7FFFFFFF)
