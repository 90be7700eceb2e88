"""What a pipeline for inpainting is given of memory's projection: a picture without holes, and where it may draw."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.generation.inpaint.options import Holes
from vmem_ros.generation.inpainting import inpaint
from vmem_ros.generation.resizing import resize_projection
from vmem_ros.types import Projection

_GREY = 128


def picture_and_mask(
    projection: Projection, size: tuple[int, int], *, cell_px: int, holes: Holes, least_hole: float
) -> tuple[Tensor, Tensor]:
    """Return a picture [h, w, 3] uint8 and a mask [h, w] bool, true where the pipeline is to draw.

    The pipeline reads the mask at the size of its latents and takes from each cell a few pixels: a hole between them
    would be lost. So the mask is true in whole cells, those of which a share of at least ``least_hole`` is not seen.
    Cracks in a cell that is kept are as they are continued from their border.

    :param size: (height, width) at which the pipeline works, multiples of ``cell_px``.
    :param cell_px: side in pixels of a cell.
    """
    image, seen, _ = resize_projection(projection, size)
    if holes == "continued" and bool(seen.any()):
        image = inpaint(image, seen)
    else:
        image = torch.where(seen[..., None], image, torch.full_like(image, _GREY))
    unseen = (~seen).float()[None, None]
    share = torch.nn.functional.avg_pool2d(unseen, cell_px)
    drawn = share >= max(least_hole, 1e-6)
    return image, drawn[0, 0].repeat_interleave(cell_px, 0).repeat_interleave(cell_px, 1)
