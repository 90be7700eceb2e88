"""Geometry of one view: depth estimators, and their alignment to what is remembered."""

from vmem_ros.pointmaps.aligned import AlignedDepth
from vmem_ros.pointmaps.estimators import FILLED_CONFIDENCE, MemoryDepth, SensorDepth
from vmem_ros.pointmaps.given import GivenDepth
from vmem_ros.pointmaps.options import GeometryPrior, MemoryDepthOptions, Scene
from vmem_ros.pointmaps.prediction import DepthPrediction, DepthPredictor, ScalePrior
from vmem_ros.pointmaps.registry import DEFAULT_ESTIMATOR, ESTIMATORS, load_estimator
from vmem_ros.pointmaps.sensor_options import SensorDepthOptions, SensorKind

__all__ = [
    "DEFAULT_ESTIMATOR",
    "ESTIMATORS",
    "FILLED_CONFIDENCE",
    "AlignedDepth",
    "DepthPrediction",
    "DepthPredictor",
    "GeometryPrior",
    "GivenDepth",
    "MemoryDepth",
    "MemoryDepthOptions",
    "ScalePrior",
    "Scene",
    "SensorDepth",
    "SensorDepthOptions",
    "SensorKind",
    "load_estimator",
]
