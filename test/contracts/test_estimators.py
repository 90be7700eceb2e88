"""The estimators of the package keep the contract."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import pytest
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


class FromTruth:
    """Says what is true up to a scale, or, if it is not metric, up to scale and shift of inverse depth."""

    name = "truth"
    _depths: ClassVar[dict[bytes, torch.Tensor]] = {}

    def __init__(self, scale_prior: ScalePrior | None) -> None:
        self.scale_prior = scale_prior
        self.metric = scale_prior is not None

    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return one prediction per view: of a picture of the room, wherever it is said to have been taken."""
        predictions = []
        for view in views:
            if bool((view.T_world_camera[:3, 3].abs() < HALF).all()):
                depth = box_view(view.camera, view.T_world_camera, panel=True).depth
                self._depths[view.image.numpy().tobytes()] = depth
            depth = self._depths[view.image.numpy().tobytes()]
            depth = 1.2 * depth if self.scale_prior else 1 / (0.5 / depth + 0.1)
            predictions.append(DepthPrediction(depth, torch.full_like(depth, 0.05)))
        return predictions


class TestSensor(PointMapEstimatorContract):
    def make(self) -> PointMapEstimator:
        return SensorDepth()

    def prepared(self, views: Sequence[View]) -> list[View]:
        return [dataclasses.replace(v, depth=torch.full(v.camera.size, 2.0)) for v in views]

    def test_where_memory_shows_it_all_it_is_right(self) -> None:
        pytest.skip("a sensor says what it measures")


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
        drawn = [p.depth for p in FromTruth(ScalePrior()).predict(views, Recall((), torch.empty(0), ()))]
        return [dataclasses.replace(v, depth=d) for v, d in zip(views, drawn, strict=True)]


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
