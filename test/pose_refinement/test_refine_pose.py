"""Poses that are off are corrected by what memory shows, and by nothing that is not there."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from rooms import box_view
from vmem_ros.geometry import Camera, geodesic_distance, invert, look_at, pixel_rays
from vmem_ros.pose_refinement import PoseRefinementOptions, refine_pose
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection, View
from walls import two_walls

CAMERA = Camera.from_fov(192, 128, 75)
TRUE = look_at((-1.0, 0.3, 0.2), (2.5, 1.6, -0.4))
# Half of what is found is applied unless told otherwise.
WHOLE = PoseRefinementOptions(memory_weight=1.0)


def off_by(metres: tuple[float, float, float], degrees: tuple[float, float, float]) -> Tensor:
    """Return [4, 4] a small motion of a camera."""
    out = torch.zeros(4, 4, dtype=torch.float64)
    x, y, z = (math.radians(angle) for angle in degrees)
    out[:3, :3] = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out[:3, 3] = torch.tensor(metres)
    return torch.matrix_exp(out)


def shown_of(view: View) -> Projection:
    """Return what a memory shows that knows all that a view shows, as seen by a camera."""
    assert view.depth is not None
    seen = torch.isfinite(view.depth)
    return Projection(view.image, view.depth, seen, torch.where(seen, 0, -1), seen.float())


def error(T: Tensor, true: Tensor) -> tuple[float, float]:
    """Return how far a pose is off, in metres and degrees."""
    angle = geodesic_distance(T, true, translation_weight=0.0)
    return float((T[:3, 3] - true[:3, 3]).norm()), math.degrees(float(angle))


def noisy(view: View, seed: int, *, depth_m: float, levels: float) -> View:
    """Return a view with white noise on depth and picture."""
    random = torch.Generator().manual_seed(seed)
    assert view.depth is not None
    depth = view.depth + depth_m * torch.randn(view.camera.size, generator=random)
    image = view.image + levels * torch.randn(*view.camera.size, 3, generator=random)
    return dataclasses.replace(view, depth=depth, image=image.round().clamp(0, 255).to(torch.uint8))


def wall_view(T_world_camera: Tensor) -> View:
    """Return a gray wall at x = 2.5 without end."""
    directions = pixel_rays(CAMERA, dtype=torch.float64) @ T_world_camera[:3, :3].mT
    depth = (2.5 - T_world_camera[0, 3]) / directions[..., 0]
    return View(torch.full((*CAMERA.size, 3), 140, dtype=torch.uint8), CAMERA, T_world_camera, depth.float())


@pytest.mark.parametrize(
    "motion",
    [
        off_by((0.02, 0.0, 0.0), (0.0, 0.0, 0.0)),
        off_by((0.0, 0.0, -0.03), (0.0, 1.0, 0.0)),
        off_by((0.01, -0.02, 0.015), (0.8, -0.9, 1.2)),
    ],
)
def test_a_pose_that_is_off_is_found(motion: Tensor) -> None:
    given = TRUE @ motion
    view = dataclasses.replace(box_view(CAMERA, TRUE), T_world_camera=given)
    found = refine_pose(view, shown_of(box_view(CAMERA, given)), options=WHOLE)
    assert found.accepted, found.reason
    assert found.directions == 6
    metres, degrees = error(given @ found.T_correction, TRUE)
    assert metres < 0.002
    assert degrees < 0.03
    assert found.fit_after < found.fit_before / 2
    assert found.translation_m == pytest.approx(float(motion[:3, 3].norm()), rel=0.1)


def test_noise_of_a_sensor_and_another_exposure_are_tolerated() -> None:
    given = TRUE @ off_by((0.01, -0.02, 0.015), (0.8, -0.9, 1.2))
    view = noisy(box_view(CAMERA, TRUE), 1, depth_m=0.01, levels=3.0)
    darker = (view.image * 0.65 + 12).to(torch.uint8)
    view = dataclasses.replace(view, image=darker, T_world_camera=given)
    shown = shown_of(noisy(box_view(CAMERA, given), 2, depth_m=0.01, levels=3.0))
    found = refine_pose(view, shown, options=WHOLE)
    assert found.accepted, found.reason
    metres, degrees = error(given @ found.T_correction, TRUE)
    assert metres < 0.004
    assert degrees < 0.1


def test_by_default_memory_and_pose_are_believed_alike() -> None:
    given = TRUE @ off_by((0.02, 0.0, 0.01), (0.0, 1.0, 0.0))
    view = dataclasses.replace(box_view(CAMERA, TRUE), T_world_camera=given)
    shown = shown_of(box_view(CAMERA, given))
    half, whole = refine_pose(view, shown), refine_pose(view, shown, options=WHOLE)
    assert half.translation_m == pytest.approx(whole.translation_m / 2, rel=0.02)
    assert half.rotation_deg == pytest.approx(whole.rotation_deg / 2, rel=0.02)
    assert torch.equal(refine_pose(view, shown).T_correction, half.T_correction)


@pytest.mark.parametrize("gain", [1.0, 0.6])
def test_a_pose_that_is_right_stays(gain: float) -> None:
    view = noisy(box_view(CAMERA, TRUE), 1, depth_m=0.01, levels=3.0)
    shown = shown_of(noisy(box_view(CAMERA, TRUE), 2, depth_m=0.01, levels=3.0))
    found = refine_pose(dataclasses.replace(view, image=(view.image * gain).to(torch.uint8)), shown)
    assert not found.accepted
    assert "fit better" in found.reason
    assert torch.equal(found.T_correction, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_slides_along_a_bare_wall(seed: int) -> None:
    """Noise has structure everywhere; only the distance and the tilt of the wall are known."""
    true = look_at((0.0, 0.0, 0.0), (2.5, 0.0, 0.0))
    given = true @ off_by((0.02, -0.015, 0.02), (0.5, 0.5, 1.0))
    view = noisy(wall_view(true), seed, depth_m=0.008, levels=3.0)
    shown = shown_of(noisy(wall_view(given), seed + 10, depth_m=0.008, levels=3.0))
    found = refine_pose(dataclasses.replace(view, T_world_camera=given), shown, options=WHOLE)
    assert found.accepted, found.reason
    assert found.directions == 3
    left = invert(true) @ given @ found.T_correction
    # It is as far and as upright as it should be ...
    assert abs(float(left[2, 3])) < 0.003
    assert float(left[:2, 2].abs().max()) < math.radians(0.2)
    # ... and where it was along the wall, and as much turned.
    torch.testing.assert_close(left[:2, 3], torch.tensor([0.02, -0.015], dtype=torch.float64), rtol=0, atol=0.002)
    assert math.degrees(float(left[1, 0])) == pytest.approx(1.0, abs=0.1)


def test_too_little_overlap_is_refused() -> None:
    given = TRUE @ off_by((0.02, 0.0, 0.0), (0.0, 0.0, 0.0))
    view = dataclasses.replace(box_view(CAMERA, TRUE), T_world_camera=given)
    shown = shown_of(box_view(CAMERA, given))
    corner = torch.zeros(CAMERA.size, dtype=torch.bool)
    corner[:60, :60] = True
    small = dataclasses.replace(shown, seen=corner, depth=torch.where(corner, shown.depth, torch.nan))
    assert "are needed" in refine_pose(view, small).reason
    # What moves does not count, nor what was only imagined.
    assert "are needed" in refine_pose(view, shown, mask=~corner).reason
    imagined = dataclasses.replace(shown, confidence=torch.full(CAMERA.size, IMAGINED_CONFIDENCE))
    assert "are needed" in refine_pose(view, imagined).reason


def test_another_room_is_refused() -> None:
    view = dataclasses.replace(two_walls(look_at((0.0, 0.0, 1.0), (3.0, 0.2, 0.9)), camera=CAMERA), T_world_camera=TRUE)
    found = refine_pose(view, shown_of(box_view(CAMERA, TRUE)))
    assert not found.accepted
    assert found.overlap > 0.5


@pytest.mark.parametrize(
    "motion", [off_by((0.07, 0.0, 0.02), (0.0, 0.0, 0.0)), off_by((0.0, 0.0, 0.0), (0.0, 4.0, 0.0))]
)
def test_more_than_is_to_be_believed_is_refused(motion: Tensor) -> None:
    given = TRUE @ motion
    view = dataclasses.replace(box_view(CAMERA, TRUE), T_world_camera=given)
    shown = shown_of(box_view(CAMERA, given))
    found = refine_pose(view, shown)
    assert not found.accepted
    assert torch.equal(found.T_correction, torch.eye(4, dtype=torch.float64))
    wider = PoseRefinementOptions(max_translation_m=0.1, max_rotation_deg=6.0, memory_weight=1.0)
    metres, _ = error(given @ refine_pose(view, shown, options=wider).T_correction, TRUE)
    assert metres < 0.002


def test_without_measured_depth_the_pose_stays() -> None:
    seen = box_view(CAMERA, TRUE)
    for depth in (None, torch.full(CAMERA.size, torch.nan), torch.full(CAMERA.size, torch.inf)):
        found = refine_pose(dataclasses.replace(seen, depth=depth), shown_of(seen))
        assert "no measured depth" in found.reason
    few = torch.full(CAMERA.size, torch.nan)
    few[40, 60] = 2.0
    assert "are needed" in refine_pose(dataclasses.replace(seen, depth=few), shown_of(seen)).reason


@pytest.mark.parametrize(("width", "height"), [(1, 1), (300, 2), (2, 300), (31, 47)])
def test_pictures_of_any_shape(width: int, height: int) -> None:
    seen = box_view(CAMERA.resized(width, height), TRUE)
    refine_pose(seen, shown_of(seen))


@pytest.mark.parametrize("name", ["max_translation_m", "min_overlap", "memory_weight"])
def test_options_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PoseRefinementOptions(**{name: 0.0})
