"""Views beside the truth, on a textured wall."""

import dataclasses
import math

import pytest
import torch

from vmem_ros.evaluation.fidelity import Fidelity, against_truth
from vmem_ros.types import View
from walls import CAMERA, START, two_walls

TRUTH = two_walls(START)
EVERYWHERE = torch.ones(CAMERA.size)


def test_the_truth_against_itself():
    same = against_truth(TRUTH, TRUTH, confidence=EVERYWHERE, unseen=EVERYWHERE.bool())
    assert same["psnr_db"] == same["psnr_remembered_db"] == same["psnr_unseen_db"] == math.inf
    assert same["ssim"] == pytest.approx(1)
    assert same["match"] == 1
    assert same["depth_abs_rel"] == same["depth_median_m"] == 0
    assert same["rotation_deg"] < 0.05
    assert same["translation_m"] < 0.01


def test_depth_that_is_a_tenth_too_far():
    farther = against_truth(View(TRUTH.image, CAMERA, START, TRUTH.depth * 1.1), TRUTH)
    assert farther["depth_abs_rel"] == pytest.approx(0.1, abs=1e-3)
    assert farther["depth_median_m"] == pytest.approx(0.1 * float(TRUTH.depth.median()), rel=1e-3)


def test_remembered_and_unseen_pixels_are_judged_apart():
    image = TRUTH.image.clone()
    image[:, 160:] = 255 - image[:, 160:]
    right = torch.zeros(CAMERA.size, dtype=torch.bool)
    right[:, 160:] = True
    values = against_truth(View(image, CAMERA, START), TRUTH, confidence=torch.where(right, 0.4, 0.5), unseen=right)
    assert values["psnr_remembered_db"] == math.inf
    assert values["psnr_unseen_db"] == pytest.approx(values["psnr_db"] - 10 * math.log10(2))


def test_a_few_unseen_pixels_say_nothing():
    few = torch.zeros(CAMERA.size, dtype=torch.bool)
    few[:4] = True
    assert math.isnan(against_truth(TRUTH, TRUTH, unseen=few)["psnr_unseen_db"])


def test_what_is_not_known_is_nan():
    values = against_truth(View(TRUTH.image, CAMERA, START), dataclasses.replace(TRUTH, depth=None))
    unknown = {name for name, value in values.items() if math.isnan(value)}
    assert unknown == {
        "psnr_remembered_db", "psnr_unseen_db", "depth_abs_rel", "depth_median_m", "rotation_deg", "translation_m",
    }  # fmt: skip


def test_means_leave_out_what_is_unknown():
    blank = View(torch.zeros(240, 320, 3, dtype=torch.uint8), CAMERA, START)
    values = [against_truth(TRUTH, TRUTH), against_truth(blank, TRUTH)]
    both = Fidelity.mean(values)
    assert both["depth_abs_rel"] == 0
    assert both["match"] == pytest.approx(0.5)
    # One pair of identical pictures does not make the mean infinite.
    assert both["psnr_db"] == values[1]["psnr_db"]
    assert all(math.isnan(value) for value in Fidelity.mean([]).values())
