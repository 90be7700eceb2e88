"""The content of an image as one vector of CLIP, prepared as the published weights were trained."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


def embed(image_encoder: Any, images: Tensor) -> Tensor:
    """Return embeddings [N, D] float32 of images [N, 3, H, W] in [-1, 1]; they are not normalised to unit length.

    :param image_encoder: a ``CLIPVisionModelWithProjection``.
    """
    pixel_values = clip_pixels(images, image_encoder.config.image_size)
    return image_encoder(pixel_values.to(image_encoder.dtype)).image_embeds.float()


def clip_pixels(images: Tensor, size: int) -> Tensor:
    """Return what the image encoder takes, [N, 3, size, size] float32, from images [N, 3, H, W] in [-1, 1].

    As Stable Virtual Camera does it (kornia's ``resize`` with ``antialias``): a Gaussian blur of standard deviation
    ``(H / size - 1) / 2``, then bicubic sampling with the corner pixels aligned. ``CLIPImageProcessor`` of transformers
    instead crops the middle of the image and aligns its edges.
    """
    images = images.float()
    vertical, horizontal = (side / size for side in images.shape[-2:])
    if max(vertical, horizontal) > 1:
        images = _blur_rows(_blur_rows(images, (horizontal - 1) / 2).mT, (vertical - 1) / 2).mT
    images = F.interpolate(images, (size, size), mode="bicubic", align_corners=True)
    mean, std = (images.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return ((images + 1) / 2 - mean) / std


def _blur_rows(images: Tensor, sigma: float) -> Tensor:
    """Return images [N, C, H, W] under a Gaussian along each row, over about two deviations to each side."""
    sigma = max(sigma, 0.001)
    taps = int(max(4 * sigma, 3)) | 1
    at = torch.arange(taps, device=images.device) - taps // 2
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    weight = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (taps // 2, taps // 2, 0, 0), mode="reflect")
    return F.conv2d(padded, weight, groups=images.shape[1])
