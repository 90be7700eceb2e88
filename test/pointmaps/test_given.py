"""Depth that a generator drew, in whatever scale, is brought to that of memory."""

import dataclasses

import pytest
import torch

from memories import CAMERA, memory_of, views_at
from rooms import box_view, orbit
from vmem_ros.pointmaps import AlignedDepth, GivenDepth

POSES = orbit(16)


def drawn(pose: torch.Tensor, factor: float):
    """Return a generated view with depth that is wrong by a factor."""
    view = box_view(CAMERA, pose)
    return dataclasses.replace(view, depth=view.depth * factor, source="generated")


@pytest.mark.parametrize("factor", [0.2, 0.9, 1.0, 3.0])
def test_its_scale_becomes_that_of_memory(factor):
    memory = memory_of(views_at(POSES[:1]))
    view = drawn(POSES[1], factor)
    recall = memory.read([view.target], 4)
    (found,) = AlignedDepth(GivenDepth()).estimate([view], recall)
    new = ~recall.projections[0].seen & found.depth.isfinite()
    assert new.float().mean() > 0.05
    truth = box_view(CAMERA, POSES[1]).depth
    assert float((found.depth / truth - 1).abs()[new].median()) < 0.03


def test_scale_and_shift_of_inverse_depth():
    memory = memory_of(views_at(POSES[:1]))
    view = drawn(POSES[1], 1.0)
    view = dataclasses.replace(view, depth=1 / (0.3 / view.depth + 0.1))
    recall = memory.read([view.target], 4)
    (found,) = AlignedDepth(GivenDepth(scale_prior=None)).estimate([view], recall)
    truth = box_view(CAMERA, POSES[1]).depth
    assert float((found.depth / truth - 1).abs().nanmedian()) < 0.03


def test_unknown_pixels_stay_unknown_and_sky_stays_sky():
    memory = memory_of(views_at(POSES[:1]))
    view = drawn(POSES[1], 1.0)
    depth = view.depth.clone()
    depth[:6], depth[6:12] = torch.nan, torch.inf
    recall = memory.read([view.target], 4)
    (found,) = AlignedDepth(GivenDepth()).estimate([dataclasses.replace(view, depth=depth)], recall)
    unseen = ~recall.projections[0].seen
    assert unseen[:12].any()
    assert found.depth[:6][unseen[:6]].isnan().all()
    assert torch.isposinf(found.depth[6:12][unseen[6:12]]).all()


def test_its_scale_is_its_own():
    assert not AlignedDepth(GivenDepth()).metric


def test_a_view_without_depth():
    memory = memory_of(views_at(POSES[:1]))
    view = dataclasses.replace(drawn(POSES[1], 1.0), depth=None)
    with pytest.raises(ValueError, match="has no depth"):
        AlignedDepth(GivenDepth()).estimate([view], memory.read([view.target], 4))
