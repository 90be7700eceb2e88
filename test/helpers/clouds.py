"""Clouds made by hand."""

from __future__ import annotations

import torch

from vmem_ros.types import Elements


def random_elements(n: int, *, normal: bool = True, radius: bool = True, seed: int = 0) -> Elements:
    """Return elements of random places and colours, with normals and radii or without."""
    generator = torch.Generator().manual_seed(seed)
    normals = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    return Elements(
        position=torch.randn(n, 3, generator=generator),
        color=torch.randint(0, 256, (n, 3), generator=generator, dtype=torch.uint8),
        normal=normals if normal else None,
        radius=torch.rand(n, generator=generator) if radius else None,
    )
