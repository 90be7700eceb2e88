"""Put what is remembered into what was generated, without a seam."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.types import BLEND_PX, Projection


def composite_remembered(image: Tensor, projection: Projection) -> Tensor:
    """Return ``image`` [H, W, 3] uint8 with the remembered pixels of ``projection`` blended in.

    The blend rises from 0 at the border of the seen region to 1 a few pixels inside it, so that isolated or ragged
    memory does not cut through the picture.
    """
    alpha = feather(projection.seen)[..., None]
    blended = image.float() * (1 - alpha) + projection.image.float() * alpha
    return blended.round().clamp(0, 255).to(torch.uint8)


def feather(seen: Tensor, width: int = BLEND_PX) -> Tensor:
    """Return [H, W] float32: 0 outside ``seen``, rising to 1 at ``width`` pixels inside; the border is no edge."""
    inside = seen.float()[None, None]
    depth = inside.clone()
    for _ in range(width - 1):
        # Erosion: the minimum over the 3 x 3 neighbourhood.
        inside = 1 - torch.nn.functional.max_pool2d(1 - inside, 3, stride=1, padding=1)
        depth += inside
    return depth[0, 0] / width
