"""Views made as imperfect as generated ones: softer, of slightly other brightness, their depth smoothly wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vmem_ros.types import View

_SOFTEST, _BRIGHTNESS, _DEPTH = 3.0, 0.06, 0.03
# Knots of the error of depth along each side: an estimate is wrong over regions, not pixel by pixel.
_KNOTS = 5


def imperfect_view(view: View, rng: np.random.Generator) -> View:
    """Return the view with an image as if drawn at down to a third of its size, and a relative depth error of 3 %."""
    height, width = view.camera.size
    factor = float(rng.uniform(1, _SOFTEST))
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    image = view.image.permute(2, 0, 1)[None].float()
    image = F.interpolate(image, small, mode="bilinear", antialias=True)
    image = F.interpolate(image, (height, width), mode="bicubic")[0].permute(1, 2, 0)
    image = image * float(rng.normal(1, _BRIGHTNESS))
    depth = view.depth
    if depth is not None:
        depth = depth * (1 + _DEPTH * _smooth_noise((height, width), rng))
    return dataclasses.replace(view, image=image.round().clamp(0, 255).to(torch.uint8), depth=depth)


def _smooth_noise(size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    knots = torch.from_numpy(rng.normal(size=(1, 1, _KNOTS, _KNOTS))).float()
    return F.interpolate(knots, size, mode="bicubic", align_corners=True)[0, 0]
