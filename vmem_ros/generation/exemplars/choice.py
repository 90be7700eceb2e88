"""Which picture of a library goes on where a picture is not known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from vmem_ros.generation.exemplars.library import GRID, ExemplarLibrary

# So many of the pictures that fit best are looked at, or this share of a large library; of those, the third with the
# most details, for what is likely everywhere is a plain wall. (Of a tenth, kernel distance and PSNR were worse.)
_BEST, _SHARE, _RICH = 80, 0.02, 3
# If what is known differs by more from every picture, root mean square over cells, the library has nothing of such
# places, and what it lent would be out of place: a house's paintings in a real kitchen. (Least differences in houses of
# the kind of the library: at most 0.138 in 19 of 20 views; in a recording of a real kitchen 0.147 or more in all.)
_MISFIT = 0.142
# Where nothing is known, pictures are to fit in blocks of so many cells: to what is likely there, not to its blur.
_BLOCK = 4


@dataclass(frozen=True)
class Exemplar:
    """:param number: of a picture of the library, which is ``mirrored`` left to right or not."""

    number: int
    mirrored: bool


def choose(likely: Tensor, unseen: Tensor, library: ExemplarLibrary, generator: torch.Generator) -> Exemplar | None:
    """Return one of the pictures that fit best and have many details where nothing is known; ``None``: none fits.

    A picture fits if its cells have the colours of those that are known, and blocks of them the colours that are likely
    elsewhere; but for one colour that is added to all.

    :param likely: [3, H, W] float32 in [0, 1]: what is known, and what is likely where nothing is.
    :param unseen: [H, W] float32: 1 where nothing is known.
    :param generator: on the CPU; equal states give equal pictures.
    """
    rows, columns = cells(likely.shape[1], likely.shape[2])
    wanted = adaptive_avg_pool2d(likely, (rows, columns))
    hidden = adaptive_avg_pool2d(unseen[None], (rows, columns))[0]
    thumbnails = _cropped(library.thumbnails, rows, columns)
    detail = _cropped(library.detail, rows, columns)
    thumbnails, detail = (torch.cat([each, each.flip(-1)]) for each in (thumbnails, detail))

    off = wanted - thumbnails
    weight = 0.3 + hidden
    off = off - ((off * weight).sum(dim=(2, 3), keepdim=True) / weight.sum())
    known = (off.square() * (1 - hidden)).sum(dim=(1, 2, 3))
    if float(known.min()) > off.shape[1] * float((1 - hidden).sum()) * _MISFIT**2:
        return None
    blocks = (max(1, rows // _BLOCK), max(1, columns // _BLOCK))
    area = rows * columns / (blocks[0] * blocks[1])
    likely_off = area * adaptive_avg_pool2d(off * hidden, blocks).square().sum(dim=(1, 2, 3))
    count = min(len(off), max(_BEST, round(_SHARE * len(off))))
    best = (known + likely_off).topk(count, largest=False).indices
    richest = best[(detail[best] * hidden).sum(dim=(1, 2)).argsort(descending=True, stable=True)[: -(-count // _RICH)]]
    chosen = int(richest[int(torch.randint(len(richest), (1,), generator=generator))])
    return Exemplar(chosen % len(library), chosen >= len(library))


def cells(height: int, width: int) -> tuple[int, int]:
    """Return the (rows, columns) of cells of a picture: 16 along its longer side."""
    longer = max(height, width)
    return max(1, round(GRID * height / longer)), max(1, round(GRID * width / longer))


def cropped(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle of a square picture [C, S, S] in a (height, width)."""
    side, longer = picture.shape[-1], max(size)
    middle = _cropped(picture, *(max(1, round(side * each / longer)) for each in size))
    return interpolate(middle[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def _cropped(square: Tensor, rows: int, columns: int) -> Tensor:
    """Return the middle rows and columns of tensors [..., S, S]."""
    top, left = (square.shape[-2] - rows) // 2, (square.shape[-1] - columns) // 2
    return square[..., top : top + rows, left : left + columns]
