"""Geometry of one view: depth estimators, and their alignment to what is remembered."""

from vmem_ros.pointmaps.aligned import AlignedDepth
from vmem_ros.pointmaps.estimators import FILLED_CONFIDENCE, MemoryDepth, SensorDepth
from vmem_ros.pointmaps.given import GivenDepth
from vmem_ros.pointmaps.prediction import DepthPrediction, DepthPredictor, ScalePrior
from vmem_ros.pointmaps.registry import ESTIMATORS, EstimatorName, load_estimator

__all__ = [
    "ESTIMATORS",
    "FILLED_CONFIDENCE",
    "AlignedDepth",
    "DepthPrediction",
    "DepthPredictor",
    "EstimatorName",
    "GivenDepth",
    "MemoryDepth",
    "ScalePrior",
    "SensorDepth",
    "load_estimator",
]
