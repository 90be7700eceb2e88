"""Where the geometry of views comes from: a sensor, or what memory shows."""

import dataclasses

import pytest
import torch

from planes import CAMERA, holes, plane_depth
from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError, ModelError
from vmem_ros.geometry import look_at, pixel_rays
from vmem_ros.pointmaps import FILLED_CONFIDENCE, MemoryDepth, MemoryDepthOptions, SensorDepth, load_estimator
from vmem_ros.types import Projection, Recall

ROOM = MemoryDepthOptions(prior="room")


class TestSensorDepth:
    view = box_view(CAMERA, orbit(8)[0])

    def test_points_lie_on_the_rays_at_the_measured_depth(self):
        (found,) = SensorDepth().estimate([self.view])
        assert torch.equal(found.depth, self.view.depth)
        assert torch.allclose(found.points, pixel_rays(CAMERA) * self.view.depth[..., None])
        assert (found.confidence == 1).all()

    @pytest.mark.parametrize("value", [0.0, -1.0, torch.nan, torch.inf])
    def test_invalid_pixels_have_no_point_and_no_confidence(self, value):
        depth = self.view.depth.clone()
        depth[:5] = value
        (found,) = SensorDepth().estimate([dataclasses.replace(self.view, depth=depth)])
        assert found.points[:5, :, :2].isnan().all()
        # That a camera saw nothing is kept: it is not the same as not knowing.
        kept = found.depth[:5]
        assert torch.isposinf(kept).all() if value == torch.inf else kept.isnan().all()
        assert (found.confidence[:5] == 0).all()
        assert torch.isfinite(found.points[5:]).all()

    @pytest.mark.parametrize("depth", [None, torch.full(CAMERA.size, torch.nan), torch.zeros(CAMERA.size)])
    def test_no_usable_depth(self, depth):
        with pytest.raises(InvalidImageError, match="no usable depth"):
            SensorDepth().estimate([dataclasses.replace(self.view, depth=depth)])

    def test_a_look_at_nothing_is_a_measurement(self):
        (found,) = SensorDepth().estimate([dataclasses.replace(self.view, depth=torch.full(CAMERA.size, torch.inf))])
        assert torch.isposinf(found.depth).all()
        assert (found.confidence == 0).all()

    def test_no_views(self):
        assert SensorDepth().estimate([]) == []


def recall_of(*depths: torch.Tensor, references=()) -> Recall:
    """Return a recall whose projections show these depths and nothing else."""
    projections = []
    for depth in depths:
        seen = torch.isfinite(depth)
        image = torch.zeros(*depth.shape, 3, dtype=torch.uint8)
        projections.append(Projection(image, depth, seen, torch.where(seen, 7, -1), seen.float()))
    return Recall(tuple(references), torch.empty(0), (), tuple(projections))


class TestMemoryDepth:
    view = box_view(CAMERA, look_at((0, 0, 0), (2, 0, 0)))

    @pytest.mark.parametrize("kind", ["middle", "scattered", "right"])
    def test_without_a_prior_holes_stay_holes(self, kind):
        mask = holes(kind)
        (found,) = MemoryDepth().estimate([self.view], recall_of(torch.where(mask, torch.nan, self.view.depth)))
        assert torch.equal(found.depth[~mask], self.view.depth[~mask])
        assert found.depth[mask].isnan().all()
        assert (found.confidence[~mask] == 1).all()
        assert (found.confidence[mask] == 0).all()

    def test_what_memory_shows_is_not_remembered_twice(self):
        (found,) = MemoryDepth().estimate(
            [self.view], recall_of(torch.where(holes("middle"), torch.nan, self.view.depth))
        )
        assert torch.equal(found.shown, torch.where(holes("middle"), -1, 7))

    @pytest.mark.parametrize("kind", ["middle", "scattered", "right"])
    def test_a_room_fills_holes_with_low_confidence(self, kind):
        mask = holes(kind)
        recall = recall_of(torch.where(mask, torch.nan, self.view.depth))
        (found,) = MemoryDepth(ROOM).estimate([self.view], recall)
        assert torch.equal(found.depth[~mask], self.view.depth[~mask])
        filled = mask & torch.isfinite(found.depth)
        assert filled.sum() > 0.9 * mask.sum()
        assert ((found.depth / self.view.depth - 1).abs()[filled] < 0.02).float().mean() > 0.9
        assert (found.confidence[filled] == FILLED_CONFIDENCE).all()
        assert found.confidence[mask & ~filled].max() == 0 if (mask & ~filled).any() else True

    def test_seen_without_depth_is_trusted_no_more_than_a_hole(self):
        """As where a view shows itself, whose sensor failed at some pixels."""
        recall = recall_of(torch.where(holes("middle"), torch.nan, self.view.depth))
        whole = dataclasses.replace(recall.projections[0], seen=torch.ones(CAMERA.size, dtype=torch.bool))
        (found,) = MemoryDepth(ROOM).estimate([self.view], dataclasses.replace(recall, projections=(whole,)))
        assert found.confidence[holes("middle")].max() == FILLED_CONFIDENCE

    def test_what_is_no_room_stays_unknown(self):
        """Of a single wall nobody knows what lies beside it."""
        wall = torch.where(holes("right"), torch.nan, plane_depth((0.0, 0.0, 1.0)))
        (found,) = MemoryDepth(ROOM).estimate([self.view], recall_of(wall))
        assert found.depth[holes("right")].isnan().all()

    def test_references_show_the_room_of_a_view_that_shows_little(self):
        """Only a wall is left of what memory shows; that the room has a floor and a ceiling, a reference says."""
        shown = torch.where(
            (torch.arange(60) > 20)[:, None] & (torch.arange(60) < 32)[:, None], self.view.depth, torch.nan
        )
        (alone,) = MemoryDepth(ROOM).estimate([self.view], recall_of(shown))
        assert torch.equal(alone.depth.isnan(), shown.isnan())
        reference = box_view(CAMERA, look_at((0, 0, 0), (2, 0.6, 0)))
        (found,) = MemoryDepth(ROOM).estimate([self.view], recall_of(shown, references=[reference]))
        assert found.depth.isfinite().float().mean() > 0.9

    def test_depth_stays_above_the_floor(self):
        """A hole below the middle of the image: smooth depth would go on through the floor."""
        mask = torch.zeros(CAMERA.size, dtype=torch.bool)
        mask[38:56, 10:70] = True
        (found,) = MemoryDepth(ROOM).estimate([self.view], recall_of(torch.where(mask, torch.nan, self.view.depth)))
        assert (found.depth[mask] <= self.view.depth[mask] * 1.001).all()

    def test_views_of_different_sizes(self):
        smaller = CAMERA.resized(40, 30)
        views = [self.view, box_view(smaller, self.view.T_world_camera)]
        depths = [torch.where(holes("middle"), torch.nan, self.view.depth), views[1].depth]
        maps = MemoryDepth(ROOM).estimate(views, recall_of(*depths))
        assert [tuple(found.depth.shape) for found in maps] == [CAMERA.size, smaller.size]
        assert torch.equal(maps[1].depth, views[1].depth)

    @pytest.mark.parametrize("prior", ["none", "room"])
    def test_each_view_has_its_own_projection(self, prior):
        views = [box_view(CAMERA, T) for T in orbit(8)[:2]]
        maps = MemoryDepth(MemoryDepthOptions(prior=prior)).estimate(views, recall_of(*(v.depth for v in views)))
        for view, found in zip(views, maps, strict=True):
            assert torch.equal(found.depth, view.depth)
            assert torch.equal(found.T_world_camera, view.T_world_camera)

    @pytest.mark.parametrize("prior", ["none", "room"])
    def test_nothing_remembered_gives_no_geometry(self, prior):
        unknown = recall_of(torch.full(CAMERA.size, torch.nan))
        (found,) = MemoryDepth(MemoryDepthOptions(prior=prior)).estimate([self.view], unknown)
        assert found.points.isnan().all()
        assert (found.confidence == 0).all()

    def test_needs_a_projection_per_view(self):
        with pytest.raises(ValueError, match="zip"):
            MemoryDepth().estimate([box_view(CAMERA, orbit(8)[0])], recall_of())


class TestRegistry:
    def test_an_unknown_estimator_is_named(self):
        with pytest.raises(ModelError, match=r"geometry.estimator = 'magic' is unknown: use memory, small"):
            load_estimator("magic")

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("memory", {"prior": "cave"}, "prior must be one of none, room, got 'cave'"),
            ("memory", {"up": (0.0, 0.0, 0.0)}, "up must be a direction"),
            ("memory", {"max_depth_m": 5.0}, "no option max_depth_m: it has prior, up"),
            ("small", {"prior": "room"}, "no option prior: it has model, max_depth_m"),
            ("huggingface", {"prior": "room"}, "no option prior: it has model, max_depth_m, allow_download"),
            ("small", {"max_depth_m": -1.0}, "max_depth_m must be positive or None, got -1"),
        ],
    )
    def test_options_that_an_estimator_does_not_have(self, name, options, message):
        with pytest.raises(ModelError, match=message):
            load_estimator(name, **options)

    def test_options_reach_the_estimator(self):
        assert load_estimator("memory", prior="room", up=[1.0, 0.0, 0.0]).options.prior == "room"
        assert load_estimator("small", max_depth_m=5.0).max_depth_m == 5.0

    def test_the_package_itself_believes_nothing(self):
        assert load_estimator().options.prior == "none"

    @pytest.mark.parametrize(("name", "metric"), [("memory", True), ("small", True)])
    def test_metric(self, name, metric):
        assert load_estimator(name).metric is metric
