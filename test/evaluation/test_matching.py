"""SIFT features on a textured wall: the share found again, and the pose that a picture shows."""

import dataclasses
import math

import numpy as np
import torch

from vmem_ros.evaluation.matching import detect_features, estimate_pose, match_accuracy
from vmem_ros.evaluation.metrics import pose_error
from vmem_ros.geometry import look_at
from walls import CAMERA, START, two_walls


def test_a_picture_matches_itself_and_not_another():
    image = two_walls(START).image
    same, other, shifted = map(detect_features, (image, two_walls(START, seed=1).image, torch.roll(image, 8, dims=1)))
    assert match_accuracy(same, same) == 1.0
    assert match_accuracy(other, same) < 0.05
    assert match_accuracy(shifted, same) < 0.05
    assert match_accuracy(shifted, same, tolerance_px=9) > 0.8


def test_a_picture_without_texture_has_no_match_accuracy():
    flat = detect_features(torch.full((64, 64, 3), 90, dtype=torch.uint8))
    assert math.isnan(match_accuracy(flat, flat))


def test_the_pose_of_a_picture_is_found_by_matching():
    shown = look_at((0.2, -0.1, 1.1), (3.0, 0.2, 1.0))
    known = two_walls(START)
    reference = detect_features(known.image)
    found = estimate_pose(detect_features(two_walls(shown).image), CAMERA, reference, known)
    error = pose_error(found, shown)
    assert error.rotation_deg < 0.2
    assert error.translation_m < 0.02
    black = detect_features(torch.zeros(240, 320, 3, dtype=torch.uint8))
    assert estimate_pose(black, CAMERA, reference, known) is None


def test_matches_that_all_lie_in_one_place_or_line_show_no_pose():
    """As those of a picture of a few flat patches do."""
    known = two_walls(START)
    features = detect_features(known.image)
    for spread in (0, 1):
        points = np.full_like(features.points, 60)
        points[:, 0] += spread * np.arange(len(points)) % 100
        flat = dataclasses.replace(features, points=points)
        assert estimate_pose(flat, CAMERA, flat, known) is None
