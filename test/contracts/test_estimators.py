"""The estimators of the package keep the contract."""

import dataclasses
import functools
from collections.abc import Sequence

import torch

from estimator_contract import DepthPredictorContract, PointMapEstimatorContract
from rooms import HALF, box_view
from vmem_ros.pointmaps import (
    AlignedDepth,
    DepthPrediction,
    DepthPredictor,
    GivenDepth,
    MemoryDepth,
    ScalePrior,
    SensorDepth,
)
from vmem_ros.pointmaps.options import MemoryDepthOptions
from vmem_ros.pointmaps.small import SmallDepth
from vmem_ros.protocols import PointMapEstimator
from vmem_ros.types import Recall, View

_DEPTHS: dict[bytes, torch.Tensor] = {}


def true_depth(view: View) -> torch.Tensor:
    """Return the depth of a picture of the room, wherever it is said to have been taken."""
    picture = view.image.numpy().tobytes()
    if bool((view.T_world_camera[:3, 3].abs() < HALF).all()):
        _DEPTHS[picture] = box_view(view.camera, view.T_world_camera, panel=True).depth
    return _DEPTHS[picture]


class FromTruth:
    """Says what is true up to a scale, or, if it is not metric, up to scale and shift of inverse depth."""

    name = "truth"

    def __init__(self, scale_prior: ScalePrior | None) -> None:
        self.scale_prior = scale_prior
        self.metric = scale_prior is not None

    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return one prediction per view."""
        depths = [true_depth(view) for view in views]
        depths = [1.2 * depth if self.metric else 1 / (0.5 / depth + 0.1) for depth in depths]
        return [DepthPrediction(depth, torch.full_like(depth, 0.05)) for depth in depths]


class TestSensor(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return SensorDepth()

    def prepared(self, views: Sequence[View]) -> list[View]:
        return [dataclasses.replace(v, depth=true_depth(v)) for v in views]


class TestMemory(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return MemoryDepth()


class TestMemoryWithRoom(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return MemoryDepth(MemoryDepthOptions(prior="room"))


class TestAlignedMetric(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return AlignedDepth(FromTruth(ScalePrior()))


class TestAlignedRelative(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return AlignedDepth(FromTruth(None))


class TestAlignedGiven(PointMapEstimatorContract):
    """Depth that a generator drew with its views."""

    def make(self) -> PointMapEstimator:
        return AlignedDepth(GivenDepth())

    def prepared(self, views: Sequence[View]) -> list[View]:
        return [dataclasses.replace(v, depth=1.2 * true_depth(v)) for v in views]


@functools.cache
def small() -> SmallDepth:
    """Return the depth network that comes with the package."""
    return SmallDepth.from_pretrained()


class TestSmall(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return AlignedDepth(small())


class TestSmallPredictor(DepthPredictorContract):
    def make(self) -> DepthPredictor:
        return small()


class TestGivenPredictor(DepthPredictorContract):
    def make(self) -> DepthPredictor:
        return GivenDepth()

    def prepared(self, views: Sequence[View]) -> list[View]:
        return TestAlignedGiven().prepared(views)


class TestTruthPredictor(DepthPredictorContract):
    """The one that these tests lend to alignment."""

    def make(self) -> DepthPredictor:
        return FromTruth(ScalePrior())
