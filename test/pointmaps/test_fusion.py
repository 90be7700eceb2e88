"""Views of a chunk agree about what several of them see."""

import dataclasses

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps.fusion import agree
from vmem_ros.pointmaps.prediction import DepthPrediction

CAMERA = Camera.from_fov(96, 72, 75)
POSES = orbit(48)[:4]
TRUTH = [box_view(CAMERA, T, panel=True).depth for T in POSES]


def agreed(log_errors, *, cameras=(CAMERA,) * 4, truth=TRUTH):
    """Return the errors of log depth that are left, and what is refuted, of predictions with these errors."""
    errors = [torch.as_tensor(e).expand(d.shape) for e, d in zip(log_errors, truth, strict=True)]
    predictions = [DepthPrediction(d * e.exp(), torch.full_like(d, 0.05)) for d, e in zip(truth, errors, strict=True)]
    nothing = [
        SurfelMemory().project(dataclasses.replace(box_view(c, T)).target) for c, T in zip(cameras, POSES, strict=True)
    ]
    found = agree(predictions, nothing, cameras, POSES)
    return [e + c for e, c in zip(errors, found.correction, strict=True)], found.refuted


def test_they_meet_in_the_middle():
    left, refuted = agreed([0.03, -0.03, 0.01, -0.01])
    middle = torch.stack([e.median() for e in left])
    assert middle.abs().max() < 0.008
    assert torch.stack([r.float().mean() for r in refuted]).max() < 0.02


def test_smooth_errors_become_smaller():
    waves = [0.04 * torch.sin(torch.arange(96) / 15 + phase).expand(72, 96) for phase in (0.0, 1.6, 3.1, 4.7)]
    left, _ = agreed(waves)
    before, after = (torch.stack([e.abs().mean() for e in errors]).mean() for errors in (waves, left))
    assert after < 0.6 * before


def test_what_is_right_is_not_changed():
    left, refuted = agreed([0.0] * 4)
    assert torch.stack([e.abs().median() for e in left]).max() < 1e-3
    assert torch.stack([r.float().mean() for r in refuted]).max() < 0.02


def test_what_the_others_see_through_is_refuted():
    block = torch.zeros(72, 96)
    block[20:50, 30:60] = -0.7
    _, refuted = agreed([block, 0.0, 0.0, 0.0])
    assert refuted[0][22:48, 32:58].float().mean() > 0.95
    assert refuted[0][:, 70:].float().mean() < 0.05
    assert torch.stack([r.float().mean() for r in refuted[1:]]).max() < 0.02


def test_a_view_alone_stays_as_it_is():
    prediction = DepthPrediction(TRUTH[0], torch.full_like(TRUTH[0], 0.05))
    nothing = SurfelMemory().project(box_view(CAMERA, POSES[0]).target)
    found = agree([prediction], [nothing], [CAMERA], POSES[:1])
    assert not found.correction[0].any()
    assert not found.refuted[0].any()


@pytest.mark.parametrize("size", [(400, 300), (200, 64)])
def test_views_of_other_sizes(size):
    cameras = [CAMERA, Camera.from_fov(*size, 75), CAMERA, CAMERA]
    truth = [box_view(c, T, panel=True).depth for c, T in zip(cameras, POSES, strict=True)]
    left, refuted = agreed([0.03, -0.03, 0.03, -0.03], cameras=cameras, truth=truth)
    assert [tuple(e.shape) for e in left] == [tuple(r.shape) for r in refuted] == [c.size for c in cameras]
    assert torch.stack([e.median() for e in left]).abs().max() < 0.015
