"""What of a new plan the plans before it have shown."""

from __future__ import annotations

import math

from link_poses import pose
from vmem_ros.geometry import Camera
from vmem_ros.nodes.camera.requests import Request
from vmem_ros.nodes.camera.shown_places import ShownPlaces
from vmem_ros.types import Target

CAMERA = Camera.from_fov(32, 24, 80)
STEPS = (0.25, math.radians(15))


def drawn(shown: ShownPlaces, *places: tuple[float, float], journey: int = 0, count: int | None = None) -> list:
    """Ask what of a path along places (x, yaw in degrees) is still to be shown, and draw so many views of that."""
    targets = [Target(CAMERA, pose(x, yaw_deg=yaw), 0) for x, yaw in places]
    request = Request(targets, 0)
    request.targets = shown.begin(request, journey, *STEPS, targets)
    request.stamps_ns = list(range(len(request.targets) if count is None else count))
    return [round(float(t.T_world_camera[0, 3]), 6) for t in request.targets]


LINE = [(0.25 * i, 0.0) for i in range(5)]


def test_the_same_plan_has_nothing_new() -> None:
    shown = ShownPlaces()
    assert drawn(shown, *LINE) == [0, 0.25, 0.5, 0.75, 1]
    assert drawn(shown, *LINE) == []


def test_a_plan_goes_on_where_the_one_before_was_superseded() -> None:
    shown = ShownPlaces()
    drawn(shown, *LINE, count=2)
    # The robot has moved on, so the samples have, too.
    assert drawn(shown, *((x + 0.1, 0.0) for x, _ in LINE[:4]), (1.0, 0.0)) == [0.6, 0.85, 1.0]


def test_other_headings_and_another_goal_are_new() -> None:
    shown = ShownPlaces()
    drawn(shown, *LINE)
    assert drawn(shown, *((x, 90.0) for x, _ in LINE)) == [0, 0.25, 0.5, 0.75, 1]
    drawn(shown, *LINE)
    assert drawn(shown, *LINE[:-1], (1.05, 0.0)) == [1.05]


def test_who_comes_back_later_sees_the_place_again() -> None:
    shown = ShownPlaces()
    drawn(shown, *LINE)
    assert drawn(shown, (5.0, 0.0), (5.25, 0.0)) == [5.0, 5.25]
    assert drawn(shown, *LINE) == [0, 0.25, 0.5, 0.75, 1]


def test_another_journey_and_views_taken_back_begin_anew() -> None:
    shown = ShownPlaces()
    drawn(shown, *LINE)
    assert drawn(shown, *LINE, journey=1) == [0, 0.25, 0.5, 0.75, 1]
    shown.forget()
    assert drawn(shown, *LINE, journey=1) == [0, 0.25, 0.5, 0.75, 1]
