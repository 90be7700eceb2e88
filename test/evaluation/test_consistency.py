"""Closed loop, back and forth, truth, the nearest-view baseline and SIFT matching, on a textured wall."""

import math

import cv2
import numpy as np
import pytest
import torch

from vmem_ros.evaluation.consistency import against_truth, back_and_forth, closed_loop, mean, nearest_view
from vmem_ros.evaluation.matching import detect_features, estimate_pose, match_accuracy
from vmem_ros.evaluation.metrics import pose_error
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.showcase.camera_paths import trajectory
from vmem_ros.types import Target, View

CAMERA = Camera.from_fov(320, 240, 70)
START = look_at((0.0, 0.0, 1.0), (1.0, 0.0, 1.0))


def two_walls(T_world_camera: torch.Tensor, *, camera: Camera = CAMERA, seed: int = 0) -> View:
    """What a camera sees of two textured walls at x = 3 and x = 4 that meet in a step at y = 0."""
    generator = np.random.default_rng(seed)
    texture = cv2.resize(
        generator.integers(0, 256, (160, 160, 3), np.uint8), (1280, 1280), interpolation=cv2.INTER_CUBIC
    )
    directions = pixel_rays(camera, dtype=torch.float64) @ T_world_camera[:3, :3].mT
    origin = T_world_camera[:3, 3]
    depth = (3.0 - origin[0]) / directions[..., 0]
    behind = (4.0 - origin[0]) / directions[..., 0]
    depth = torch.where(origin[1] + depth * directions[..., 1] > 0, depth, behind)
    points = origin + depth[..., None] * directions
    u = ((points[..., 1] + 8) * 80).long().clamp(0, 1279)
    v = ((points[..., 2] + 8) * 80).long().clamp(0, 1279)
    return View(torch.from_numpy(texture)[v, u], camera, T_world_camera, depth.float())


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


def test_a_view_against_the_truth():
    truth = two_walls(START)
    same = against_truth(truth, truth, torch.ones(CAMERA.size))
    assert same.psnr_db == same.psnr_remembered_db == math.inf
    assert same.match == 1
    assert same.depth_abs_rel == 0
    assert same.rotation_deg < 0.05
    nearer = against_truth(View(truth.image, CAMERA, START, truth.depth * 1.1), truth)
    assert nearer.depth_abs_rel == pytest.approx(0.1, abs=1e-3)
    assert math.isnan(nearer.psnr_remembered_db)


def test_closed_loop_compares_last_with_first_only():
    first, other = two_walls(START).image, two_walls(START, seed=1).image
    assert closed_loop([first, other, first]).psnr_db == math.inf
    assert closed_loop([first, first, other]).psnr_db < 15
    with pytest.raises(ValueError, match="at least 2"):
        closed_loop([first])


def test_back_and_forth_pairs_each_return_view_with_its_twin():
    poses = trajectory("out_and_back", START, distance_m=3.0, n=5)
    images = [two_walls(T).image for T in poses]
    assert back_and_forth(images).psnr_db == math.inf
    forgetful = [*images[:3], two_walls(START, seed=1).image, images[4]]
    assert back_and_forth(forgetful).ssim == pytest.approx((1 + back_and_forth(forgetful[1:4]).ssim) / 2)
    assert back_and_forth(forgetful).ssim < 0.7


def test_means_leave_out_what_is_unknown():
    truth, blank = two_walls(START), torch.zeros(240, 320, 3, dtype=torch.uint8)
    figures = [against_truth(truth, truth), against_truth(View(blank, CAMERA, START), truth)]
    both = mean(figures)
    assert both.depth_abs_rel == 0
    assert both.match == pytest.approx(0.5)
    assert both.psnr_db == figures[1].psnr_db


def test_the_nearest_view_is_the_nearest_in_pose():
    poses = trajectory("spin", START, distance_m=1.0, n=9)[:-1]
    views = [two_walls(T) for T in poses]
    for i, T in enumerate(poses):
        moved = T.clone()
        moved[:3, 3] += 0.05
        assert nearest_view(Target(CAMERA, moved), views) is views[i]
    with pytest.raises(ValueError, match="nearest view of none"):
        nearest_view(Target(CAMERA, START), [])


@pytest.mark.parametrize("name", ["loop", "orbit", "out_and_back", "spin"])
def test_paths_return_exactly_and_scale_with_the_scene(name):
    near, far = (trajectory(name, START, distance_m=d, n=13) for d in (1.0, 2.0))
    assert torch.equal(near[0], START)
    assert torch.equal(near[-1], near[0])
    assert torch.allclose((far - START)[:, :3, 3], 2 * (near - START)[:, :3, 3], atol=1e-9)
    assert float((near - START).abs().max()) > 0.1
    rotation = near[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(13, 3, 3), atol=1e-9)


def test_out_and_back_has_exact_twins():
    path = trajectory("out_and_back", START, distance_m=2.0, n=11)
    assert torch.equal(path, path.flip(0))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "figure_eight", "distance_m": 1.0, "n": 9}, "one of loop, orbit, out_and_back, spin"),
        ({"name": "loop", "distance_m": 0.0, "n": 9}, "positive"),
        ({"name": "loop", "distance_m": 1.0, "n": 2}, "at least 3"),
    ],
)
def test_impossible_paths_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        trajectory(arguments.pop("name"), START, **arguments)
