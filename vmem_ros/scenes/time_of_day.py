"""When a house is looked at: how the sky shows in its windows, and what light it sends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vmem_ros.scenes.textures import Colour

#: Light of a house. Houses to learn from are seen by day unless a recipe says otherwise.
TimeOfDay = Literal["day", "evening"]


@dataclass(frozen=True)
class Daylight:
    """Light from outside.

    :param sky: colours of the sky from high to low, and a factor on those of the land below it.
    :param glow: see :class:`~vmem_ros.scenes.materials.Material`, as ``emission``; of window panes.
    :param sun: radiance over pi of the sun on a surface that faces it.
    :param mean: mean irradiance over pi of all surfaces, which a camera's exposure sets.
    """

    sky: tuple[Colour, Colour]
    land: float
    glow: float
    emission: float
    sun: Colour
    mean: float


DAYLIGHT: dict[TimeOfDay, Daylight] = {
    "day": Daylight(((0.40, 0.63, 0.93), (0.90, 0.94, 0.98)), 1.0, 1.9, 3.4, (2.6, 2.25, 1.75), 0.85),
    # Lamps are all the light there is.
    "evening": Daylight(((0.06, 0.08, 0.22), (0.55, 0.30, 0.28)), 0.25, 0.7, 0.15, (0.0, 0.0, 0.0), 0.5),
}
