"""Normals of point maps against planes whose normal is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import properties  # noqa: F401 (lifts the time limit)
from vmem_ros.geometry import Camera, normals_from_points, pixel_rays, unproject

CAMERA = Camera.from_fov(40, 30, 70)


def plane(normal: torch.Tensor, distance: float) -> torch.Tensor:
    """Return the point map [H, W, 3] float64 of the plane ``n . p = -distance`` (n faces the camera)."""
    rays = pixel_rays(CAMERA, dtype=torch.float64)
    return rays * (-distance / (rays @ normal))[..., None]


def step(near: float = 1.0, far: float = 3.0) -> torch.Tensor:
    """Return a fronto-parallel wall whose left half is nearer."""
    depth = torch.full((30, 40), far, dtype=torch.float64)
    depth[:, :20] = near
    return unproject(depth, CAMERA)


class TestPlanes:
    @given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(0.2, 20))
    def test_exact_everywhere(self, a, b, distance):
        normal = torch.nn.functional.normalize(torch.tensor([a, b, -1], dtype=torch.float64), dim=0)
        found = normals_from_points(plane(normal, distance))
        assert found.shape == (30, 40, 3)
        assert torch.allclose(found, normal.expand_as(found), atol=1e-6)

    def test_faces_the_camera(self):
        found = normals_from_points(plane(torch.tensor([0.3, -0.5, -0.8], dtype=torch.float64), 1.0))
        assert ((found * pixel_rays(CAMERA, dtype=torch.float64)).sum(dim=-1) < 0).all()

    def test_float32(self):
        normal = torch.nn.functional.normalize(torch.tensor([0.2, 0.4, -1.0]), dim=0)
        found = normals_from_points(plane(normal.double(), 2.0).float())
        assert found.dtype == torch.float32
        assert (found @ normal).min() > 0.9999


class TestEdges:
    def test_both_sides_of_a_step_keep_their_own_normal(self):
        found = normals_from_points(step())
        expected = torch.tensor([0.0, 0, -1], dtype=torch.float64)
        assert torch.allclose(found, expected.expand_as(found), atol=1e-9)

    def test_across_the_step_if_it_counts_as_one_surface(self):
        """The same step within ``max_depth_ratio``: then the difference runs across it, and the normals tilt."""
        tilted = normals_from_points(step(), max_depth_ratio=4.0)[:, 19:21]
        assert (tilted[..., 2] > -0.9).all()

    def test_single_pixel_column_has_no_normal(self):
        depth = torch.full((30, 40), 3.0, dtype=torch.float64)
        depth[:, 20] = 1.0
        found = normals_from_points(unproject(depth, CAMERA))
        assert found[:, 20].isnan().all()
        assert not found[:, [19, 21]].isnan().any()

    def test_hole(self):
        depth = torch.full((30, 40), 3.0, dtype=torch.float64)
        depth[10, 12] = torch.nan
        found = normals_from_points(unproject(depth, CAMERA))
        missing = found.isnan().any(dim=-1)
        assert missing.nonzero().tolist() == [[10, 12]]

    def test_empty_map(self):
        assert normals_from_points(torch.full((5, 6, 3), torch.nan)).isnan().all()

    def test_coincident_and_collinear_points(self):
        assert normals_from_points(torch.ones(5, 6, 3)).isnan().all()
        line = torch.ones(5, 6, 3)
        line[..., 0] = torch.arange(30.0).view(5, 6)
        assert normals_from_points(line).isnan().all()

    @pytest.mark.parametrize("size", [(1, 1), (1, 6), (6, 1)])
    def test_maps_one_pixel_wide(self, size):
        assert normals_from_points(torch.rand(*size, 3) + 1).isnan().all()


def test_chosen_rows_and_columns():
    points = plane(torch.tensor([0.1, 0.2, -0.97], dtype=torch.float64), 2.0)
    points = points + 0.05 * torch.rand(points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns = torch.tensor([0, 7, 29]), torch.tensor([3, 39])
    whole = normals_from_points(points)
    part = normals_from_points(points, rows=rows, columns=columns)
    assert torch.equal(part, whole[rows][:, columns])
