"""The options of the depth that a sensor measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: Kinds of depth sensors: those of :data:`~vmem_ros.geometry.depth_noise.SENSORS`, and ``auto``.
SensorKind = Literal["auto", "exact", "stereo", "structured_light", "tof", "lidar"]


@dataclass(frozen=True, kw_only=True)
class SensorDepthOptions:
    """Options of :class:`~vmem_ros.pointmaps.SensorDepth`.

    :param sensor: what measured the depth, hence how far it is off. ``exact``: it was rendered, and stays as it is,
        bit by bit, whatever the other options say. ``auto``: nobody knows. Every depth camera leaves pixels empty, so
        an image without a single unknown pixel is taken for ``exact``; any other for ``structured_light``, whose noise
        lies between those of stereo and time of flight.
    :param close_gaps_px: gaps of unknown depth up to so many pixels wide are closed along surfaces; 0: none.
    :param remove_flying: readings at depth edges that lie between both surfaces are removed.
    """

    sensor: SensorKind = "auto"
    close_gaps_px: int = 3
    remove_flying: bool = True

    def __post_init__(self) -> None:
        if self.sensor not in get_args(SensorKind):
            raise ValueError(f"sensor must be one of {', '.join(get_args(SensorKind))}, got {self.sensor!r}")
        if not 0 <= self.close_gaps_px <= 16:
            raise ValueError(f"close_gaps_px must be 0 to 16 pixels, got {self.close_gaps_px}")
