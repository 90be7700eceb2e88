"""Geometry of one view: depth estimators."""

from vmem_ros.pointmaps.estimators import FILLED_CONFIDENCE, MemoryDepth, SensorDepth
from vmem_ros.pointmaps.filling import fill_depth

__all__ = ["FILLED_CONFIDENCE", "MemoryDepth", "SensorDepth", "fill_depth"]
