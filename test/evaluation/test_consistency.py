"""Closed loop, and out and back, on a textured wall."""

import math

import pytest

from vmem_ros.evaluation.consistency import along_the_way_back, back_and_forth, closed_loop
from vmem_ros.showcase.camera_paths import trajectory
from walls import START, two_walls

FIRST, OTHER = two_walls(START), two_walls(START, seed=1)


def test_closed_loop_compares_last_with_first_only():
    assert closed_loop([FIRST, OTHER, FIRST])["psnr_db"] == math.inf
    assert closed_loop([FIRST, FIRST, OTHER])["psnr_db"] < 15


def test_back_and_forth_pairs_each_view_of_the_way_back_with_its_twin():
    views = [two_walls(T) for T in trajectory("out_and_back", START, distance_m=3.0, n=5)]
    assert back_and_forth(views)["psnr_db"] == math.inf
    forgetful = [*views[:3], OTHER, views[4]]
    assert back_and_forth(forgetful)["ssim"] == pytest.approx((1 + back_and_forth(forgetful[1:4])["ssim"]) / 2)
    assert back_and_forth(forgetful)["ssim"] < 0.7


def test_the_way_back_begins_at_the_turning_point():
    near, far = along_the_way_back([FIRST, FIRST, FIRST, OTHER])
    assert near["psnr_db"] == math.inf
    assert far["psnr_db"] < 15


def test_twins_are_not_judged_as_if_they_were_the_truth():
    assert set(closed_loop([FIRST, FIRST])) == {"psnr_db", "ssim", "match"}


@pytest.mark.parametrize("protocol", [closed_loop, back_and_forth, along_the_way_back])
def test_one_view_has_no_twin(protocol):
    with pytest.raises(ValueError, match="at least 2 views, got 1"):
        protocol([FIRST])
