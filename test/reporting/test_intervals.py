"""Means with their intervals, and differences within a house."""

import math

import pytest
import torch

from vmem_ros.reporting.intervals import mean_interval, paired_difference


def test_the_interval_is_students():
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert interval.mean == 3
    # The table value of t with four degrees of freedom.
    assert interval.half_width == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5), rel=1e-3)
    assert interval.text(2) == "3.00 ± 1.96"


def test_it_covers_the_mean_as_often_as_it_says():
    draws = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 1
    found = [mean_interval(row) for row in draws.tolist()]
    covered = sum(abs(interval.mean - 1) <= interval.half_width for interval in found)
    assert 0.93 < covered / 2000 < 0.97


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([math.nan, 2.0], "2.0"),
        ([], "-"),
        ([math.nan], "-"),
        ([math.inf, math.inf], "identical"),
        ([math.inf, 4.0, 4.0], "4.0 ± 0.0"),
    ],
)
def test_what_is_not_finite(values, text):
    assert mean_interval(values).text(1) == text


def test_differences_are_taken_house_by_house():
    values, others = [10.0, 20.0, 33.0, math.inf], [9.0, 18.0, 30.0, 7.0]
    difference = paired_difference(values, others)
    assert (difference.mean, difference.count) == (2, 3)
    assert difference.text(1, signed=True) == "+2.0 ± 2.5"
    # Houses differ by far more than the methods.
    assert mean_interval(values).half_width > 10
