"""Depth of new views: filling holes, and where geometry comes from."""

import dataclasses

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.pointmaps import FILLED_CONFIDENCE, MemoryDepth, SensorDepth, fill_depth
from vmem_ros.types import Projection, Recall

CAMERA = Camera.from_fov(80, 60, 70)


def plane_depth(normal, distance: float = 2.0) -> torch.Tensor:
    """Return the z-depth [H, W] of the plane ``n . p = distance``."""
    rays = pixel_rays(CAMERA, dtype=torch.float64)
    return (distance / (rays @ torch.tensor(normal, dtype=torch.float64))).float()


def holes(kind: str) -> torch.Tensor:
    mask = torch.zeros(CAMERA.size, dtype=torch.bool)
    if kind == "middle":
        mask[20:40, 30:55] = True
    elif kind == "scattered":
        mask = torch.rand(CAMERA.size, generator=torch.Generator().manual_seed(0)) < 0.6
    elif kind == "right":
        mask[:, 70:] = True
    return mask


class TestFillDepth:
    @pytest.mark.parametrize(("kind", "tolerance"), [("middle", 0.03), ("scattered", 0.03), ("right", 0.1)])
    @pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.3, 0.0, 1.0), (0.0, 0.4, 0.9)])
    def test_planes_are_continued(self, kind, tolerance, normal):
        depth, mask = plane_depth(normal), holes(kind)
        filled = fill_depth(torch.where(mask, torch.nan, depth))
        assert (filled / depth - 1).abs().max() < tolerance
        assert torch.equal(filled[~mask], depth[~mask])

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    def test_whatever_is_not_finite_is_a_hole(self, value):
        depth = plane_depth((0.0, 0.0, 1.0))
        depth[10:20, 10:20] = value
        assert torch.allclose(fill_depth(depth), torch.full(CAMERA.size, 2.0), rtol=1e-5)

    def test_between_object_and_background_comes_the_background(self):
        depth = torch.full(CAMERA.size, 4.0)
        depth[:, :40] = 1.0
        depth[:, 36:44] = torch.nan
        filled = fill_depth(depth)[:, 36:44]
        assert (filled > 1).all()
        assert filled.median() > 3

    def test_known_pixels_weigh_by_their_squared_depth(self):
        """Of two near pixels and a far one around a hole: 1 / d = (1 + 1 + 1/4 * 16) / (1 + 1 + 16)."""
        filled = fill_depth(torch.tensor([[1.0, 1.0], [4.0, torch.nan]]))
        assert filled[1, 1].item() == pytest.approx(3.0)

    def test_stays_within_what_is_known(self):
        depth = torch.rand(CAMERA.size, generator=torch.Generator().manual_seed(1)) * 5 + 0.5
        known = depth[~holes("scattered")]
        filled = fill_depth(torch.where(holes("scattered"), torch.nan, depth))
        assert filled.min() >= known.min() * 0.999
        assert filled.max() <= known.max() * 1.001

    def test_one_pixel_fills_everything(self):
        depth = torch.full(CAMERA.size, torch.nan)
        depth[7, 9] = 3.0
        assert torch.allclose(fill_depth(depth), torch.full(CAMERA.size, 3.0), rtol=1e-4)

    def test_nothing_known_stays_nothing(self):
        assert fill_depth(torch.full(CAMERA.size, torch.nan)).isnan().all()

    @pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (3, 3), (33, 65)])
    def test_sizes(self, size):
        depth = torch.full(size, 2.0)
        depth[0, 0] = torch.nan
        filled = fill_depth(depth)
        assert filled.shape == size
        assert filled.isnan().all() if depth.isnan().all() else torch.allclose(filled, torch.full(size, 2.0))

    def test_images_of_a_batch_do_not_mix(self):
        depth = torch.stack(
            [plane_depth((0.0, 0.0, 1.0)), 3 * plane_depth((0.3, 0.0, 1.0)), plane_depth((0.0, 0.0, 1.0))]
        )
        depth[0, holes("middle")], depth[1, holes("scattered")], depth[2] = torch.nan, torch.inf, torch.nan
        filled = fill_depth(depth)
        for together, alone in zip(filled, depth, strict=True):
            assert torch.allclose(together, fill_depth(alone), equal_nan=True)
        assert filled[2].isnan().all()

    def test_full_depth_is_returned_as_it_is(self):
        depth = plane_depth((0.2, 0.1, 1.0))
        assert torch.equal(fill_depth(depth), depth)


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

    def test_no_views(self):
        assert SensorDepth().estimate([]) == []


class TestMemoryDepth:
    def recall(self, *depths: torch.Tensor) -> Recall:
        """Return a recall whose projections show these depths and nothing else."""
        projections = []
        for depth in depths:
            seen = torch.isfinite(depth)
            image = torch.zeros(*depth.shape, 3, dtype=torch.uint8)
            projections.append(Projection(image, depth, seen, torch.where(seen, 0, -1), seen.float()))
        return Recall((), torch.empty(0), (), tuple(projections))

    def test_remembered_pixels_are_taken_as_they_are_and_holes_trusted_less(self):
        view = box_view(CAMERA, look_at((0, 0, 0), (2, 0, 0)))
        mask = holes("middle")
        (found,) = MemoryDepth().estimate([view], self.recall(torch.where(mask, torch.nan, view.depth)))
        assert torch.equal(found.depth[~mask], view.depth[~mask])
        assert torch.isfinite(found.depth).all()
        assert (found.confidence[mask] == FILLED_CONFIDENCE).all()
        assert (found.confidence[~mask] == 1).all()

    def test_each_view_has_its_own_projection(self):
        views = [box_view(CAMERA, T) for T in orbit(8)[:2]]
        maps = MemoryDepth().estimate(views, self.recall(*(v.depth for v in views)))
        for view, found in zip(views, maps, strict=True):
            assert torch.equal(found.depth, view.depth)
            assert torch.equal(found.T_world_camera, view.T_world_camera)

    def test_nothing_remembered_gives_no_geometry(self):
        view = box_view(CAMERA, orbit(8)[0])
        (found,) = MemoryDepth().estimate([view], self.recall(torch.full(CAMERA.size, torch.nan)))
        assert found.points.isnan().all()
        assert (found.confidence == 0).all()

    def test_needs_a_projection_per_view(self):
        with pytest.raises(ValueError, match="zip"):
            MemoryDepth().estimate([box_view(CAMERA, orbit(8)[0])], self.recall())
