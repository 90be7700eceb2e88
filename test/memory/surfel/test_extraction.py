"""Surfels of one view: where they lie, how large they are, and what is left out."""

import pytest
import torch

from vmem_ros.geometry import Camera, project
from vmem_ros.memory.surfel.extraction import ALPHA, grid_shape, sample_surfels, surfel_radius
from vmem_ros.types import PointMap

CAMERA = Camera.from_fov(160, 96, 70)
IMAGE = torch.stack(torch.meshgrid(torch.arange(96), torch.arange(160), indexing="ij"), dim=-1).byte()
IMAGE = torch.cat([IMAGE, IMAGE[..., :1]], dim=-1)


def sample(
    depth: torch.Tensor, *, stride: float = 4, min_confidence: float = 0.05, confidence=None, observed: bool = True
):
    ones = torch.ones_like(depth)
    point_map = PointMap.from_depth(depth, ones if confidence is None else confidence, CAMERA, torch.eye(4))
    return sample_surfels(point_map, IMAGE, observed=observed, stride=stride, min_confidence=min_confidence)


def wall(z: float = 2.0) -> torch.Tensor:
    return torch.full((96, 160), z)


class TestGrid:
    @pytest.mark.parametrize(
        ("size", "stride", "expected"),
        [((288, 512), 4, (72, 128)), ((288, 512), 33, (16, 16)), ((10, 40), 4, (10, 16)), ((1, 1), 2, (1, 1))],
    )
    def test_shape(self, size, stride, expected):
        assert grid_shape(*size, stride) == expected

    def test_paper_density(self):
        """A factor of 0.03 a side, but at least 16: 288 x 512 gives 16 x 16 where 0.03 alone would give 9 x 15."""
        assert grid_shape(576, 576, 1 / 0.03) == (17, 17)


class TestSamples:
    def test_shapes_and_types(self):
        surfels = sample(wall())
        assert len(surfels) == 24 * 40
        for name, dtype, row in (
            ("position", torch.float32, (3,)), ("normal", torch.float32, (3,)), ("radius", torch.float32, ()),
            ("color", torch.uint8, (3,)), ("provenance", torch.float32, ()),
        ):  # fmt: skip
            column = getattr(surfels, name)
            assert column.dtype == dtype
            assert column.shape == (960, *row)

    def test_each_is_a_pixel_as_it_is(self):
        depth = 1 + torch.rand(96, 160, generator=torch.Generator().manual_seed(0)) * 0.01
        surfels = sample(depth)
        (u, v), z = project(surfels.position, CAMERA)[0].unbind(-1), surfels.position[:, 2]
        row, column = v.long(), u.long()
        assert torch.allclose(v % 1, torch.tensor(0.5), atol=1e-3)
        assert torch.equal(z, depth[row, column])
        assert torch.equal(surfels.color, IMAGE[row, column])

    def test_spacing_is_twice_the_radius_on_a_wall_ahead(self):
        surfels = sample(wall())
        heights = surfels.position[:, 1].unique()
        assert len(heights) == 24
        row = (surfels.position[:, 1] == heights[12]).nonzero().squeeze(1)
        x, order = surfels.position[row, 0].sort()
        radius = surfels.radius[row][order]
        assert torch.allclose(x.diff(), 2 * radius[20].expand(39), rtol=0.02)

    def test_no_depth_is_mixed_across_an_edge(self):
        depth = wall(3.0)
        depth[:, 81:] = 1.0
        z = sample(depth, stride=7.3).position[:, 2]
        assert set(z.tolist()) == {1.0, 3.0}

    def test_face_the_camera(self):
        depth = wall() + torch.linspace(-0.5, 0.5, 160)
        surfels = sample(depth)
        assert ((surfels.normal * surfels.position).sum(dim=-1) < 0).all()

    @pytest.mark.parametrize("observed", [True, False])
    def test_provenance_is_that_of_the_view(self, observed):
        assert sample(wall(), observed=observed).provenance.unique().tolist() == [float(observed)]


class TestLeftOut:
    @pytest.mark.parametrize(("observed", "confidence"), [(False, 0.04), (False, 0.0), (True, 0.0)])
    def test_low_confidence(self, observed, confidence):
        below = torch.ones(96, 160)
        below[:48] = confidence
        surfels = sample(wall(), confidence=below, observed=observed)
        assert len(surfels) == 12 * 40
        assert (surfels.position[:, 1] > 0).all()

    def test_doubt_about_what_a_camera_saw_drops_nothing(self):
        assert len(sample(wall(), confidence=torch.full((96, 160), 1e-3), observed=True)) == 960

    def test_confidence_at_the_threshold_stays(self):
        assert len(sample(wall(), confidence=torch.full((96, 160), 0.05), observed=False)) == 960

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0, -1.0])
    def test_points_that_are_none(self, value):
        depth = wall()
        depth[:, :80] = value
        assert (sample(depth).position[:, 0] > 0).all()

    def test_lone_pixels_have_no_normal(self):
        depth = torch.full((96, 160), torch.nan)
        depth[::2, ::2] = 2.0
        assert len(sample(depth)) == 0

    def test_nothing_at_all(self):
        assert len(sample(torch.full((96, 160), torch.nan))) == 0


class TestRadius:
    def test_formula(self):
        radius = surfel_radius(torch.tensor([3.0, 3.0, 6.0]), torch.tensor([1.0, -0.5, 0.0]), focal=30.0)
        expected = [0.05, 0.05 / (ALPHA + (1 - ALPHA) * 0.5), 0.1 / ALPHA]
        assert radius.tolist() == pytest.approx(expected)

    def test_does_not_depend_on_resolution_but_on_spacing(self):
        """Half the picture at half the stride samples the same rays: the same disks."""
        surfels = sample(wall(), stride=4)
        half = CAMERA.resized(80, 48)
        point_map = PointMap.from_depth(torch.full((48, 80), 2.0), torch.ones(48, 80), half, torch.eye(4))
        smaller = sample_surfels(point_map, IMAGE[::2, ::2], observed=True, stride=2, min_confidence=0)
        assert len(smaller) == len(surfels)
        assert torch.allclose(smaller.radius, surfels.radius, rtol=0.03)
