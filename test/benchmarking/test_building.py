"""The endless building: its rooms are real places, and none is met twice."""

from __future__ import annotations

from itertools import islice

import torch

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.geometry import Camera, transform, unproject

CAMERA = Camera.from_fov(64, 48, 75)


def test_views_of_a_room_agree_about_its_geometry() -> None:
    """A point that one view sees lies on the surface that another view sees, unless something hides it there."""
    building = Building()
    first, second = (building.view(t) for t in (next(building.walk(CAMERA, start=3)), building.ask(CAMERA, 3)))
    assert first.depth is not None
    assert second.depth is not None
    world = transform(first.T_world_camera, unproject(first.depth, CAMERA).reshape(-1, 3).double())
    seen = transform(torch.linalg.inv(second.T_world_camera), world)
    u, v = (CAMERA.K[:2] @ (seen / seen[:, 2:]).T).floor().long()
    inside = (seen[:, 2] > 0.1) & (u >= 0) & (u < CAMERA.width) & (v >= 0) & (v < CAMERA.height)
    there = second.depth[v[inside], u[inside]].double()
    assert int(inside.sum()) > 100
    # Never in front of what the other view sees, and mostly on it; a pixel of 64 spans a few per cent of depth.
    assert bool((seen[inside, 2] > 0.9 * there).float().mean() > 0.97)
    assert float((seen[inside, 2] / there - 1).abs().median()) < 0.02


def test_every_room_has_its_own_place_and_its_own_look() -> None:
    building = Building()
    targets = list(islice(building.walk(CAMERA), 0, 30 * VIEWS_PER_ROOM, VIEWS_PER_ROOM))
    cells = {tuple((t.T_world_camera[:2, 3] / 5.2).round().int().tolist()) for t in targets}
    assert len(cells) == 30
    assert max(abs(c) for cell in cells for c in cell) == 3  # a filled square, not a line
    pictures = {building.view(t).image.numpy().tobytes() for t in targets[:4]}
    assert len(pictures) == 4


def test_a_small_building_is_walked_again_from_new_places() -> None:
    building = Building(rooms=2)
    targets = list(islice(building.walk(CAMERA), 4 * VIEWS_PER_ROOM))
    cells = {tuple((t.T_world_camera[:2, 3] / 5.2).round().int().tolist()) for t in targets}
    assert len(cells) == 2
    poses = torch.stack([t.T_world_camera for t in targets]).flatten(1)
    assert float(torch.cdist(poses, poses).fill_diagonal_(1).min()) > 1e-3
