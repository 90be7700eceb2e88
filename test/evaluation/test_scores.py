"""Figures of a method in a house, from answers that are known."""

import dataclasses
import math

import pytest
import torch

from rooms import orbit
from vmem_ros.evaluation.benchmark_paths import EvaluationPath
from vmem_ros.evaluation.scores import Answer, score
from vmem_ros.geometry import Camera
from vmem_ros.types import View

CAMERA = Camera.from_fov(32, 32, 75)


@pytest.fixture
def walk():
    """Three grey views out and the same back, of which the given view sees all, the left half, nothing."""
    right = torch.zeros(32, 32, dtype=torch.bool)
    right[:, 16:] = True
    unseen = [torch.zeros_like(right), right, torch.ones_like(right)]
    grey = [View(torch.full((32, 32, 3), 100, dtype=torch.uint8), CAMERA, T) for T in orbit(3)]
    return EvaluationPath("out and back", grey[0], (*grey, *grey[::-1]), (*unseen, *unseen[::-1]))


def scores(walk, pictures):
    loop = EvaluationPath("loop", walk.start, walk.truths[:2], walk.unseen[:2])
    answers = {
        "loop": [Answer(view, None) for view in loop.truths],
        "out and back": [
            Answer(dataclasses.replace(view, image=image), None)
            for view, image in zip(walk.truths, pictures, strict=True)
        ],
    }
    return score([loop, walk], answers, seconds_per_view=0.1)


def test_the_way_back_is_compared_with_its_twin_not_with_the_truth(walk):
    wrong = [view.image + 10 for view in walk.truths]
    found = scores(walk, wrong)
    assert found.back["psnr_db"] == math.inf
    assert found.back["ssim"] == pytest.approx(1)
    assert found.truth_db == pytest.approx([20 * math.log10(255 / 10)] * 6)
    drifted = [*wrong[:3], *(image - 15 for image in wrong[3:])]
    # 10 above the truth on the way out, 5 below on the way back.
    assert scores(walk, drifted).back_db == pytest.approx([20 * math.log10(255 / 15)] * 3)
    assert scores(walk, drifted).truth_db[3:] == pytest.approx([20 * math.log10(255 / 5)] * 3)


def test_unseen_views_and_unseen_pixels_are_told_apart(walk):
    pictures = [view.image.clone() for view in walk.truths]
    for picture, unseen in zip(pictures, walk.unseen, strict=True):
        picture[unseen] += 20
    found = scores(walk, pictures)
    wrong_db = 20 * math.log10(255 / 20)
    # Of the view that is half seen, the other half counts; half is not largely unseen.
    assert found.truth["psnr_unseen_db"] == pytest.approx(wrong_db)
    assert found.unseen["psnr_db"] == pytest.approx(wrong_db)
    assert found.truth_db[1] == pytest.approx(wrong_db + 10 * math.log10(2))
    assert found.truth_db[0] == math.inf


def test_without_largely_unseen_views_nothing_is_said_of_them(walk):
    seen = dataclasses.replace(walk, unseen=tuple(torch.zeros_like(unseen) for unseen in walk.unseen))
    assert all(math.isnan(value) for value in scores(seen, [view.image for view in walk.truths]).unseen.values())
