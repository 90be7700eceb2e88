"""Depth and confidence as colours."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vmem_ros.reporting.palette import CONFIDENCE_RAMP, gradient


def depth_colors(depth: Tensor, *, near_m: float, far_m: float) -> Tensor:
    """Return z-depth [H, W] as a picture uint8 [H, W, 3]: turbo, near red to far blue; black where unknown.

    Inverse depth is mapped linearly, because that is how depth matters to a camera that moves.
    """
    inverse = (1 / depth - 1 / far_m) / (1 / near_m - 1 / far_m)
    level = (torch.nan_to_num(inverse, nan=0.0).clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    picture = torch.from_numpy(cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB))
    return torch.where(torch.isfinite(depth.cpu())[..., None], picture, 0)


def confidence_overlay(image: Tensor, confidence: Tensor, *, opacity: float = 0.6) -> Tensor:
    """Return the picture in grey, tinted by confidence [H, W] in [0, 1] along ``CONFIDENCE_RAMP``."""
    tint = gradient(CONFIDENCE_RAMP, torch.nan_to_num(confidence, nan=0.0).clamp(0, 1).cpu().numpy())
    grey = cv2.cvtColor(image.cpu().numpy(), cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    # The tint keeps the picture's light and shade, so that one still sees what is meant.
    shaded = tint * (0.35 + 0.65 * grey / 255)
    return torch.from_numpy((opacity * shaded + (1 - opacity) * grey).clip(0, 255).astype(np.uint8))
