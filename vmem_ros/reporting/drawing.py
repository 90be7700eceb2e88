"""Text and panels on pictures, in one typeface, for sheets and animations alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vmem_ros.reporting.palette import INK, RULE, Colour, gradient


@cache
def font(size: int, weight: Literal["regular", "bold"] = "regular") -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, in pixels of height."""
    name = "DejaVuSans.ttf" if weight == "regular" else "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def picture(image: Tensor, size: tuple[int, int] | None = None) -> Image.Image:
    """Return a uint8 [H, W, 3] tensor as a PIL image, resampled to (width, height) if given."""
    out = Image.fromarray(np.ascontiguousarray(image.cpu().numpy()))
    return out if size is None or out.size == size else out.resize(size, Image.Resampling.LANCZOS)


def placeholder(size: tuple[int, int], text: str) -> Image.Image:
    """Return an empty panel that says why it is empty."""
    out = Image.new("RGB", size, RULE)
    ImageDraw.Draw(out).text((size[0] // 2, size[1] // 2), text, INK, font(13), anchor="mm", align="center")
    return out


def ramp(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], stops: tuple[Colour, ...]) -> None:
    """Draw a horizontal colour ramp into (left, top, right, bottom)."""
    left, top, right, bottom = box
    for x, colour in enumerate(gradient(stops, np.linspace(0, 1, right - left)).astype(int).tolist(), left):
        draw.line([(x, top), (x, bottom)], fill=tuple(colour))
