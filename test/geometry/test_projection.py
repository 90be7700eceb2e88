"""Between depth, points and pixels; rays and their Pluecker coordinates."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import properties  # noqa: F401 (lifts the time limit)
from vmem_ros.geometry import Camera, look_at, pixel_rays, plucker_rays, project, transform, unproject

CAMERA = Camera([[70.0, 1.5, 33.0], [0, 75.0, 20.0], [0, 0, 1]], 64, 48)


def pixel_centres(camera: Camera) -> torch.Tensor:
    v, u = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    return torch.stack([u, v], dim=-1).double()


class TestRoundTrip:
    @given(st.integers(0, 1000))
    def test_unproject_then_project(self, seed):
        depth = torch.rand(48, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 10 + 0.05
        pixels, z = project(unproject(depth, CAMERA), CAMERA)
        assert torch.allclose(pixels, pixel_centres(CAMERA), atol=1e-9)
        assert torch.equal(z, depth)

    def test_float32_stays_within_a_thousandth_of_a_pixel(self):
        pixels, _ = project(unproject(torch.full((48, 64), 3.7), CAMERA), CAMERA)
        assert pixels.dtype == torch.float32
        assert (pixels - pixel_centres(CAMERA)).abs().max() < 1e-3


class TestProject:
    def test_shapes(self):
        pixels, z = project(torch.rand(2, 5, 3), CAMERA)
        assert pixels.shape == (2, 5, 2)
        assert z.shape == (2, 5)

    @pytest.mark.parametrize("z", [0.0, -1.0])
    def test_nothing_behind_the_camera(self, z):
        pixels, depth = project(torch.tensor([0.1, 0.2, z]), CAMERA)
        assert pixels.isnan().all()
        assert depth.item() == z

    def test_invalid_depth_gives_no_point(self):
        depth = torch.full((48, 64), 2.0)
        depth[3, 4] = torch.nan
        points = unproject(depth, CAMERA)
        assert points[3, 4].isnan().all()
        assert points.isnan().any(dim=-1).sum() == 1

    def test_y_is_down(self):
        (u, v), _ = project(torch.tensor([1.0, 1.0, 10.0]), CAMERA)
        assert u > CAMERA.cx
        assert v > CAMERA.cy


class TestRays:
    def test_through_pixel_centres(self):
        rays = pixel_rays(CAMERA, dtype=torch.float64)
        assert rays.shape == (48, 64, 3)
        assert (rays[..., 2] == 1).all()
        assert torch.allclose(project(rays, CAMERA)[0], pixel_centres(CAMERA))


class TestPlucker:
    poses = torch.stack(
        [look_at((1, 2, 0.5), (3, 1, 0)), look_at((0, 2.2, 1), (3, 3, 0)), look_at((5, 5, 5), (0, 0, 0))]
    )

    def rays(self, poses=None):
        return plucker_rays([CAMERA] * 3, self.poses if poses is None else poses, height=6, width=8)

    def test_shape(self):
        assert self.rays().shape == (3, 6, 6, 8)

    def test_directions_are_unit_and_moments_are_normal_to_them(self):
        direction, moment = self.rays().split(3, dim=1)
        assert torch.allclose(direction.norm(dim=1), torch.ones(3, 6, 8, dtype=torch.float64))
        assert (direction * moment).sum(dim=1).abs().max() < 1e-12

    def test_first_camera_is_the_origin(self):
        assert self.rays()[0, 3:].abs().max() == 0

    def test_does_not_depend_on_the_world_frame(self):
        moved = look_at((7, -3, 2), (1, 1, 1)) @ self.poses
        assert torch.allclose(self.rays(moved), self.rays(), atol=1e-9)

    def test_moment_is_that_of_every_point_on_the_ray(self):
        """p x d is the same for all points p of a line: checked for points that unprojection finds."""
        small = CAMERA.resized(8, 6)
        T = torch.linalg.inv(self.poses[0]) @ self.poses[1]
        points = transform(T, unproject(torch.full((6, 8), 2.5, dtype=torch.float64), small))
        direction, moment = self.rays()[1].permute(1, 2, 0).split(3, dim=-1)
        assert torch.allclose(torch.linalg.cross(points, direction), moment, atol=1e-9)
