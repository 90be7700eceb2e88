"""How far depth sensors are off: the standard deviation of a reading by its depth and the angle of the surface.

Four terms, added as variances:

- a floor, which electronics and calibration leave at any distance,
- triangulation (stereo, structured light): a disparity ``f b / z`` that is off by a fixed part of a pixel moves the
  depth by ``z^2 / (f b)`` times as much,
- light that comes back (time of flight): phase is read the worse the less of it there is, and that falls with the
  squared distance and with the cosine of the angle,
- spread: a reading covers a cone, within which a slanted surface has many depths: ``z`` times half the cone's angle
  times the tangent of the slant.

The numbers are of typical devices: a stereo camera of 5 cm baseline and 640 pixels focal length that matches to a tenth
of a pixel; the first Kinect, whose depth at 4 m was measured to vary by 2 to 3 cm; time-of-flight cameras of a few
millimetres at 4 m; spinning lidars of 1 to 2 cm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Beyond this slant a surface is seen edge on, and the formulas say nothing.
LEAST_COSINE = 0.05


@dataclass(frozen=True)
class DepthNoise:
    """The noise of one kind of sensor.

    :param floor_m: in metres.
    :param triangulation: per metre, of the squared depth.
    :param light: per metre, of the squared depth over the cosine.
    :param spread: half the angle of a reading's cone in radians.
    """

    floor_m: float = 0.0
    triangulation: float = 0.0
    light: float = 0.0
    spread: float = 0.0

    def sigma(self, depth: Tensor, cosine: Tensor) -> Tensor:
        """Return the standard deviation of z-depth in metres.

        :param depth: z-depth in metres, any shape; NaN gives NaN.
        :param cosine: of the angle between the surface's normal and the ray, 0 to 1, of the same shape.
        """
        cosine = cosine.clamp(min=LEAST_COSINE)
        squared = depth.square()
        slanted = depth * self.spread * (1 - cosine.square()).clamp(min=0).sqrt() / cosine
        terms = (
            torch.full_like(depth, self.floor_m),
            self.triangulation * squared,
            self.light * squared / cosine,
            slanted,
        )
        return torch.stack(terms).square().sum(dim=0).sqrt()


#: Kinds of sensors by name.
SENSORS = {
    "exact": DepthNoise(),
    "stereo": DepthNoise(floor_m=1e-3, triangulation=3.0e-3, spread=1.0e-3),
    "structured_light": DepthNoise(floor_m=1e-3, triangulation=1.4e-3, spread=1.0e-3),
    "tof": DepthNoise(floor_m=1.5e-3, light=3.0e-4, spread=1.5e-3),
    "lidar": DepthNoise(floor_m=1.2e-2, spread=1.5e-3),
}
