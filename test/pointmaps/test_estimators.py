"""Where the geometry of views comes from: a sensor, or what memory shows."""

import dataclasses

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.pointmaps import FILLED_CONFIDENCE, MemoryDepth, SensorDepth
from vmem_ros.types import Projection, Recall

CAMERA = Camera.from_fov(80, 60, 70)


def holes(kind: str) -> torch.Tensor:
    mask = torch.zeros(CAMERA.size, dtype=torch.bool)
    if kind == "middle":
        mask[20:40, 30:55] = True
    elif kind == "scattered":
        mask = torch.rand(CAMERA.size, generator=torch.Generator().manual_seed(0)) < 0.6
    elif kind == "right":
        mask[:, 70:] = True
    return mask


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
