"""What every estimator of geometry must do: subclass :class:`PointMapEstimatorContract`, make yours, and run pytest.

    class TestMyEstimator(PointMapEstimatorContract):
        def make(self):
            return load_estimator("my_package:MyEstimator")

Depth networks behind :class:`~vmem_ros.pointmaps.AlignedDepth` have a contract of their own,
:class:`DepthPredictorContract`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest
import torch

from comparisons import equal
from generator_contract import CPU, TARGETS, recall_of
from memory_places import turned
from memory_subject import CAMERA, VIEWS
from rooms import box_view
from vmem_ros.geometry import Camera, pose_from, unproject
from vmem_ros.memory.view_memory import nothing_shown
from vmem_ros.pointmaps import DepthPredictor, ScalePrior
from vmem_ros.protocols import PointMapEstimator
from vmem_ros.types import PointMap, Recall, Target, View


def views_of(targets: Sequence[Target]) -> list[View]:
    """Return what is really to be seen at targets, as a generator would have drawn it: without depth."""
    return [
        dataclasses.replace(box_view(t.camera, t.T_world_camera, panel=True), depth=None, source="generated")
        for t in targets
    ]


class PointMapEstimatorContract(ABC):
    """Tests of an estimator, with views and recalls of a room."""

    @abstractmethod
    def make(self) -> PointMapEstimator:
        """Return the estimator, its model loaded. May return the same one each time."""

    def prepared(self, views: Sequence[View]) -> list[View]:
        """Return views with what the estimator needs besides their images; sensors need depth."""
        return list(views)

    def new_views(self, targets: Sequence[Target]) -> list[View]:
        """Return the views at targets, as they are given to the estimator."""
        return self.prepared(views_of(targets))

    def find(self, targets: Sequence[Target], recall: Recall | None = None) -> list[PointMap]:
        """Return the maps of views at targets, after checking what holds for each of them."""
        recall = recall_of(targets) if recall is None else recall
        maps = self.make().estimate(self.new_views(targets), recall)
        assert len(maps) == len(targets)
        for found, target, projection in zip(maps, targets, recall.projections, strict=True):
            size = target.camera.size
            assert found.camera == target.camera
            assert torch.equal(found.T_world_camera, target.T_world_camera)
            assert (found.points.dtype, tuple(found.points.shape)) == (torch.float32, (*size, 3))
            assert (found.confidence.dtype, tuple(found.confidence.shape)) == (torch.float32, size)
            assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
            depth = found.depth
            known = torch.isfinite(depth)
            assert (depth[known] > 0).all()
            assert (depth.isnan() | known | torch.isposinf(depth)).all()
            # Poses and intrinsics are given: points lie on the rays of their pixels.
            assert torch.allclose(found.points[known], unproject(depth, target.camera)[known], rtol=1e-4, atol=1e-4)
            assert found.points[~known][:, :2].isnan().all(), "where there is no surface there is no point"
            assert (found.confidence[~known] == 0).all()
            if found.shown is not None:
                assert (found.shown.dtype, tuple(found.shown.shape)) == (torch.int64, size)
                named = found.shown >= 0
                assert torch.equal(found.shown[named], projection.ids[named]), "only what memory shows there is shown"
                assert torch.allclose(depth[named], projection.depth[named], rtol=1e-3), "memory is frozen"
        return maps

    def test_it_says_what_it_is(self) -> None:
        estimator = self.make()
        assert isinstance(estimator.name, str)
        assert estimator.name
        assert isinstance(estimator.uses_image, bool)
        assert isinstance(estimator.metric, bool)

    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_one_map_per_view(self, n: int) -> None:
        self.find(TARGETS[:n])

    def test_no_views(self) -> None:
        assert list(self.make().estimate([], dataclasses.replace(recall_of(TARGETS[:1]), projections=()))) == []

    def test_where_memory_shows_it_all_it_is_right(self) -> None:
        targets = [VIEWS[0].target, VIEWS[2].target]
        for found, view in zip(self.find(targets, recall_of(targets, VIEWS)), (VIEWS[0], VIEWS[2]), strict=True):
            known = torch.isfinite(found.depth) & (found.confidence > 0.3)
            assert known.float().mean() > 0.5
            error = (found.depth / view.depth - 1).abs()[known]
            assert float(error.median()) < 0.05

    def test_views_of_several_sizes(self) -> None:
        cameras = [CAMERA, Camera.from_fov(70, 33, 90), Camera.from_fov(31, 50, 60)]
        self.find([Target(c, t.T_world_camera) for c, t in zip(cameras, TARGETS, strict=False)])

    def test_nothing_is_remembered_there(self) -> None:
        """Wholly unseen: no depth, or the estimator's own, but no error."""
        targets = TARGETS[:2]
        nothing = tuple(nothing_shown(t, CPU) for t in targets)
        self.find(targets, dataclasses.replace(recall_of(targets), projections=nothing))

    def test_one_of_several_is_unseen(self) -> None:
        recall = recall_of(TARGETS[:3])
        projections = (recall.projections[0], nothing_shown(TARGETS[1], CPU), recall.projections[2])
        self.find(TARGETS[:3], dataclasses.replace(recall, projections=projections))

    def test_nothing_is_remembered_at_all(self) -> None:
        """What a world begins with."""
        target = TARGETS[0]
        self.find([target], Recall((), torch.empty(0, dtype=torch.float64), (), (nothing_shown(target, CPU),)))

    def test_remembered_depth_that_is_infinite(self) -> None:
        recall = recall_of(TARGETS[:1])
        (shown,) = recall.projections
        depth = shown.depth.clone()
        depth[:6] = torch.inf
        self.find(TARGETS[:1], dataclasses.replace(recall, projections=(dataclasses.replace(shown, depth=depth),)))

    def test_memory_and_views_are_frozen(self) -> None:
        recall, views = recall_of(TARGETS[:2]), self.new_views(TARGETS[:2])
        items = (*views, *recall.views, *recall.projections)
        copies = [{n: v.clone() for n, v in _tensors(each).items()} for each in items]
        for found in self.make().estimate(views, recall):
            found.points.zero_()
            found.confidence.zero_()
            if found.shown is not None:
                found.shown.zero_()
        for each, copy in zip(items, copies, strict=True):
            assert all(equal(value, copy[name]) for name, value in _tensors(each).items())

    def test_it_repeats_itself(self) -> None:
        one, other = (self.find(TARGETS[:2]) for _ in range(2))
        for a, b in zip(one, other, strict=True):
            assert equal(a.points, b.points)
            assert equal(a.confidence, b.confidence)
            assert equal(a.shown, b.shown)

    def test_far_away_and_tilted(self) -> None:
        """A thousand kilometres away, and on its side: as here, where memory shows the surface."""
        by = pose_from((1e6, -1e6, 1e3), (0, 0, 0, 1)) @ turned("x", 60) @ turned("y", 30)
        targets = [Target(t.camera, by @ t.T_world_camera) for t in TARGETS[:2]]
        views = [dataclasses.replace(v, T_world_camera=by @ v.T_world_camera) for v in VIEWS[:4]]
        recall = recall_of(targets, views)
        new = [dataclasses.replace(v, T_world_camera=by @ v.T_world_camera) for v in self.new_views(TARGETS[:2])]
        here = self.make().estimate(self.new_views(TARGETS[:2]), recall_of(TARGETS[:2]))
        maps = self.make().estimate(new, recall)
        for there, near, projection in zip(maps, here, recall.projections, strict=True):
            both = torch.isfinite(there.depth) & torch.isfinite(near.depth) & projection.seen
            assert both.any()
            assert ((there.depth / near.depth - 1)[both].abs() < 0.05).float().mean() > 0.9


class DepthPredictorContract(ABC):
    """Tests of a depth network behind one call."""

    @abstractmethod
    def make(self) -> DepthPredictor:
        """Return the predictor, its model loaded. May return the same one each time."""

    def prepared(self, views: Sequence[View]) -> list[View]:
        """Return views with what the predictor needs besides their images."""
        return list(views)

    @pytest.mark.parametrize("remembered", [True, False])
    def test_one_prediction_per_view(self, remembered: bool) -> None:
        predictor = self.make()
        assert predictor.name
        assert predictor.scale_prior is None or isinstance(predictor.scale_prior, ScalePrior)
        assert isinstance(predictor.metric, bool)
        cameras = [CAMERA, Camera.from_fov(70, 33, 90)]
        targets = [Target(c, t.T_world_camera) for c, t in zip(cameras, TARGETS, strict=False)]
        recall = recall_of(targets)
        if not remembered:
            recall = dataclasses.replace(recall, projections=tuple(nothing_shown(t, CPU) for t in targets))
        views = self.prepared(views_of(targets))
        predictions, again = predictor.predict(views, recall), predictor.predict(views, recall)
        assert len(predictions) == len(targets)
        for found, repeated, target, projection in zip(predictions, again, targets, recall.projections, strict=True):
            assert (found.depth.dtype, tuple(found.depth.shape)) == (torch.float32, target.camera.size)
            assert found.depth.device == found.deviation.device == projection.depth.device
            assert not (found.depth <= 0).any()
            assert (found.deviation > 0).all()
            assert found.scale_deviation is None or found.scale_deviation > 0
            assert equal(found.depth, repeated.depth)

    def test_no_views(self) -> None:
        assert list(self.make().predict([], dataclasses.replace(recall_of(TARGETS[:1]), projections=()))) == []


def _tensors(item: object) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(item).items() if isinstance(value, torch.Tensor)}
