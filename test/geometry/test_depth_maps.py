"""Depth maps: which of their values are depths, compiled and with torch."""

import torch

from vmem_ros.geometry.depth_maps import count_depth, known_depth, measured_depth

DEPTH = torch.tensor([[1.0, torch.nan, torch.inf, 0.0], [-1.0, 9.0, -torch.inf, 11.0]])


def test_known_and_infinite_pixels_are_counted(both):
    for dtype in (torch.float32, torch.float64):
        one, other = both(lambda: count_depth(DEPTH.to(dtype)))  # noqa: B023
        assert one == other == (4, 1)
    assert count_depth(DEPTH.T) == (4, 1)
    assert count_depth(DEPTH[:0]) == (0, 0)


def test_what_no_sensor_measures_is_unknown(both):
    one, other = both(lambda: measured_depth(DEPTH, 10.0))
    expected = [1.0, torch.inf, 9.0]
    for each in (one, other):
        assert each[~each.isnan()].tolist() == expected


def test_confidence_is_that_of_points(both):
    confidence = torch.full_like(DEPTH, 0.5)
    one, other = both(lambda: known_depth(DEPTH, confidence))
    for ours, theirs in zip(one, other, strict=True):
        assert torch.equal(ours.nan_to_num(nan=-1), theirs.nan_to_num(nan=-1))
    assert one[0].isnan().sum() == 4
    assert one[1].tolist() == [[0.5, 0, 0, 0], [0, 0.5, 0, 0.5]]
