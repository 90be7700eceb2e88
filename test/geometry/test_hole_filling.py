"""Holes of projections are filled before they are encoded."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vmem_ros.geometry.hole_filling import fill_holes


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
