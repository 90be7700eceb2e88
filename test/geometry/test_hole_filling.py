"""Holes of pictures and of depth maps are filled from around them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planes import CAMERA, holes, plane_depth
from vmem_ros.geometry.hole_filling import fill_depth, fill_holes


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 21), width=st.integers(1, 21), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_what_is_seen_stays_and_holes_get_colours_between_those_seen(height, width, share, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=generator) + 1
    seen = torch.rand(2, height, width, generator=generator) < share
    filled = fill_holes(images, seen)
    for image, picture, mask in zip(images, filled, seen, strict=True):
        torch.testing.assert_close(picture[:, mask], image[:, mask])
        if mask.any():
            lowest, highest = image[:, mask].amin(dim=1), image[:, mask].amax(dim=1)
            assert (picture >= lowest[:, None, None] - 1e-5).all()
            assert (picture <= highest[:, None, None] + 1e-5).all()
        else:
            assert (picture == 0).all()


def test_a_hole_takes_the_colour_of_what_is_near():
    images = torch.zeros(1, 3, 32, 32)
    images[..., 16:] = 1
    seen = torch.ones(1, 32, 32, dtype=torch.bool)
    seen[:, 10:14, 2:6] = seen[:, 10:14, 26:30] = False
    filled = fill_holes(images, seen)
    assert filled[..., :16].max() < 0.1
    assert filled[..., 16:].min() > 0.9


def test_the_values_of_holes_do_not_matter():
    images, seen = torch.rand(1, 3, 16, 24), torch.rand(1, 16, 24) < 0.4
    other = torch.where(seen[:, None], images, 7.0)
    assert torch.equal(fill_holes(images, seen), fill_holes(other, seen))


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
