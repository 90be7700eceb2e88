"""The colours of everything that is drawn: sheets, animations, maps and plots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Red, green and blue, 0 to 255.
Colour = tuple[int, int, int]

PAPER: Colour = (250, 249, 246)
INK: Colour = (38, 41, 46)
MUTED: Colour = (116, 121, 128)
RULE: Colour = (222, 220, 214)
#: Where a real camera was.
ROBOT: Colour = (30, 120, 200)
#: Poses that were asked for.
ASKED: Colour = (224, 88, 44)
#: Colours of confidence 0 (invented), 0.5 (imagined before, remembered) and 1 (a real camera saw it).
CONFIDENCE_RAMP: tuple[Colour, ...] = ((235, 87, 54), (244, 190, 76), (38, 166, 154))
#: Lines of a plot, in order: distinct in hue and in lightness, for those without colour vision too (Okabe and Ito).
SERIES: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (0, 0, 0),
)


def hex_colour(colour: Colour) -> str:
    """Return a colour as ``#rrggbb``, which matplotlib takes."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def gradient(stops: Sequence[Colour], level: NDArray) -> NDArray[np.float64]:
    """Return the colours [..., 3] of levels [...] between 0, the first stop, and 1, the last one."""
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(level, at, channel) for channel in zip(*stops, strict=True)], axis=-1)
