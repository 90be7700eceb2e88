"""Holes of pictures filled from their borders, by OpenCV."""

from __future__ import annotations

from typing import Literal

import cv2
import torch
from torch import Tensor

#: Algorithms of OpenCV: Telea's marching front, or Navier-Stokes flow along isophotes.
Inpainting = Literal["telea", "navier_stokes"]
FLAGS: dict[str, int] = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}
#: Neighbourhood of a pixel in pixels that its colour comes from.
RADIUS_PX = 3.0


def inpaint(image: Tensor, seen: Tensor, *, how: Inpainting = "telea", radius_px: float = RADIUS_PX) -> Tensor:
    """Return an image [H, W, 3] uint8 with the pixels that are not ``seen`` [H, W] bool filled.

    Something must be seen. Runs on the CPU; the result is on the device of the image.
    """
    if bool(seen.all()):
        return image.clone()
    hole = (~seen).to(torch.uint8).cpu().numpy()
    filled = cv2.inpaint(image.cpu().numpy(), hole, radius_px, FLAGS[how])
    return torch.from_numpy(filled).to(image.device)
