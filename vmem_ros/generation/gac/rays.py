"""Rays of a camera as tokens, and the frame that they are told in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vmem_ros.geometry import Camera, plucker_rays

_PLUCKER = 6


class RayPatchifier(nn.Module):
    """A map of Pluecker rays to one token per patch, in the order of the tokens of its image: rows, then columns.

    :param width: of a token.
    :param patch: side of a patch in pixels.
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(_PLUCKER, width, patch, stride=patch)

    def forward(self, plucker: Tensor) -> Tensor:
        """Return tokens [N, n, width] of maps [N, 6, H, W], whose sides are multiples of the patch."""
        return self.convolution(plucker).flatten(2).mT


def ray_maps(
    cameras: Sequence[Camera], T_world_camera: Tensor, size: tuple[int, int], *, unit_m: float = 1.0
) -> Tensor:
    """Return the rays [N, 6, H, W] float32 of views in the frame of the first, moments in units of ``unit_m``.

    Positions keep their scale: depth, which stands in the same sequence, has one scale for the whole world.

    :param T_world_camera: [N, 4, 4] in metres.
    :param size: (H, W).
    """
    plucker = plucker_rays(list(cameras), T_world_camera, height=size[0], width=size[1])
    plucker[:, 3:] /= unit_m
    return plucker.to(torch.float32)
