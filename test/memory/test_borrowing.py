"""Holes of what memory shows, filled from pictures without depth: a smooth wall with a glossy door in it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.memory.borrowing import borrow_colors
from vmem_ros.types import Projection, Target, View
from vmem_ros.world import default_world

CAMERA = Camera.from_fov(96, 72, 70)
HERE = Target(CAMERA, look_at((0.0, 0.1, 1.0), (3.0, 0.2, 1.0)))
DOOR, WALL = torch.tensor([40.0, 20.0, 160.0]), torch.tensor([150.0, 200.0, 120.0])


def seen_from(x: float, y: float, *, light: float = 1.0, glossy: bool = True) -> View:
    """Return a view of the wall at x = 3 whose door, half a metre to each side of y = 0.3, has stripes and no depth."""
    T = look_at((x, y, 1.0), (3.0, 0.2, 1.0))
    rays = pixel_rays(CAMERA, dtype=torch.float64) @ T[:3, :3].mT
    depth = (3.0 - T[0, 3]) / rays[..., 0]
    across, up = ((T[i, 3] + depth * rays[..., i]) for i in (1, 2))
    shade = 1 + 0.2 * torch.sin(2 * up)[..., None]
    stripes = 1 + 0.5 * torch.sign(torch.sin(12 * up))[..., None]
    door = ((across - 0.3).abs() < 0.5) & ((up - 1).abs() < 0.7)
    image = torch.where(door[..., None], DOOR * stripes, WALL * shade) * light
    measured = torch.where(door & glossy, torch.nan, depth.float())
    return View(image.round().clamp(0, 255).byte(), CAMERA, T, measured, confidence=torch.ones(CAMERA.size))


def remembered(light: float = 1.0) -> tuple[Projection, View]:
    """Return what is shown at a target of which only the wall has depth, and the truth there."""
    truth = dataclasses.replace(seen_from(0.0, 0.1, light=light))
    seen = ~truth.depth.isnan()
    return (
        Projection(
            image=torch.where(seen[..., None], truth.image, 0),
            depth=truth.depth,
            seen=seen,
            ids=torch.where(seen, 0, -1),
            confidence=seen.float(),
        ),
        truth,
    )


def borrowed(shown: Projection, lenders: list[View]) -> Projection:
    (found,) = borrow_colors([shown], [HERE], lenders)
    return found


def error(image: torch.Tensor, truth: View, where: torch.Tensor) -> float:
    return float((image.float() - truth.image.float()).abs()[where].mean())


def test_a_door_without_depth_is_where_the_wall_around_it_is():
    shown, truth = remembered()
    found = borrowed(shown, [seen_from(-0.5, -0.4), seen_from(0.2, 0.6)])
    hole = ~shown.seen
    assert hole.float().mean() > 0.1
    assert found.seen[hole].float().mean() > 0.95
    assert error(found.image, truth, hole) < 12, "stripes of 80 levels are where they belong"
    assert torch.equal(found.image[shown.seen], shown.image[shown.seen])
    # Nobody knows where it is: it has no depth, and nothing that is remembered stands behind it.
    assert found.depth[hole].isnan().all()
    assert (found.ids[hole] == -1).all()
    assert (found.confidence[hole] == 0).all()


def test_exposure_is_that_of_what_is_shown():
    dark = seen_from(-0.3, -0.2, light=0.7)
    shown, truth = remembered()
    found = borrowed(shown, [dark])
    hole = found.seen & ~shown.seen
    as_it_is, _ = remembered(light=0.7)
    assert error(found.image, truth, hole) < 0.6 * error(borrowed(as_it_is, [dark]).image, truth, hole)


def without_confidence(view: View) -> View:
    return view.having(confidence=torch.zeros(CAMERA.size))


def with_a_seam(view: View) -> View:
    """Return a view without depth in a column of four pixels, as beside a silhouette."""
    depth = view.depth.clone()
    depth[:, 50:54] = torch.nan
    return view.having(depth=depth)


@pytest.mark.parametrize(
    "lender",
    [
        seen_from(-0.5, -0.4, glossy=False),
        dataclasses.replace(seen_from(-0.5, -0.4), source="generated"),
        without_confidence(seen_from(-0.5, -0.4)),
        with_a_seam(seen_from(-0.5, -0.4, glossy=False)),
    ],
    ids=["its depth is known", "imagined", "masked or removed", "a seam"],
)
def test_who_lends_nothing(lender: View):
    shown, _ = remembered()
    assert borrowed(shown, [lender]) is shown


def test_nothing_is_guessed_from_next_to_nothing():
    shown, _ = remembered()
    few = torch.zeros_like(shown.seen)
    few[:3, :20] = True
    shown = dataclasses.replace(shown, seen=few, depth=torch.where(few, shown.depth, torch.nan))
    assert borrowed(shown, [seen_from(-0.5, -0.4)]) is shown
    whole = dataclasses.replace(shown, seen=torch.ones_like(few))
    assert borrowed(whole, [seen_from(-0.5, -0.4)]).seen.all()


def test_a_world_draws_the_door_and_does_not_say_that_it_remembers_it():
    world = default_world()
    for x, y in ((-0.5, -0.4), (0.2, 0.6)):
        world.observe(seen_from(x, y))
    _, truth = remembered()
    (frame,) = world.explore([HERE], commit=False)
    hole = truth.depth.isnan()
    inner = torch.from_numpy(_inner(hole.numpy(), 4))
    assert error(frame.view.image, truth, inner) < 12
    assert (frame.confidence[inner] == 0).all()
    assert not frame.projection.seen[inner].any()


def _inner(mask: np.ndarray, width: int) -> np.ndarray:
    import cv2

    return cv2.erode(mask.astype(np.uint8), np.ones((2 * width + 1, 2 * width + 1), np.uint8)).astype(bool)
