"""Holes in pictures of a room continue the floor, the ceiling and the walls."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vmem_ros.generation.vmem.room_filling import fill_projection, fill_room
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.geometry.hole_filling import fill_holes

CAMERA = Camera.from_fov(64, 48, 75)
FLOOR, CEILING, WALL = torch.eye(3)
LOW, HIGH = torch.tensor([-3.0, -3.0, 0.0]), torch.tensor([3.0, 3.0, 2.5])


def room_from(T_world_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Return image [3, H, W] and depth [H, W] of an empty room of three colours."""
    T = T_world_camera.float()
    ray = pixel_rays(CAMERA, dtype=torch.float32) @ T[:3, :3].T
    sides = torch.where(ray > 0, HIGH, LOW) - T[:3, 3]
    depth, side = (sides / ray).min(dim=-1)
    level = torch.where(ray[..., 2:] > 0, CEILING, FLOOR)
    return torch.where((side == 2)[..., None], level, WALL).permute(2, 0, 1), depth


def right_half(count: int = 1) -> Tensor:
    return (torch.arange(64) >= 32).expand(count, 48, 64)


def test_what_is_beside_a_hole_goes_on_in_straight_lines() -> None:
    pose = look_at((0.0, 0.0, 1.4), (3.0, 0.0, 1.2))
    image, depth = room_from(pose)
    seen = right_half()
    filled = fill_room(image[None] * seen[:, None], seen, torch.where(seen, depth, torch.nan), [CAMERA], pose[None])[0]
    wrong = (filled - image).abs().amax(dim=0) > 0.2
    # Two of the 48 rows have an edge.
    assert float(wrong[:, :32].float().mean()) < 0.05
    assert not wrong[:, 32:].any()
    smooth = fill_holes(image[None] * seen[:, None], seen)[0]
    assert float(((smooth - image).abs().amax(dim=0) > 0.2)[:, :32].float().mean()) > 0.3


def test_a_corner_is_where_two_walls_meet() -> None:
    pose = look_at((0.0, 0.0, 1.4), (3.0, 3.0, 1.3))
    image, depth = room_from(pose)
    seen = (torch.arange(64) - 32).abs().expand(1, 48, 64) > 6
    filled = fill_room(image[None] * seen[:, None], seen, torch.where(seen, depth, torch.nan), [CAMERA], pose[None])[0]
    wrong = (filled - image).abs().amax(dim=0) > 0.2
    assert float(wrong[~seen[0]].float().mean()) < 0.06


def test_a_view_that_sees_no_ceiling_has_that_of_the_others() -> None:
    poses = torch.stack([look_at((0.0, 0.0, 1.4), (3.0, 0.0, height)) for height in (1.2, 1.3)])
    images, depth = (torch.stack(each) for each in zip(*(room_from(pose) for pose in poses), strict=True))
    seen = torch.ones(2, 48, 64, dtype=torch.bool)
    seen[1, :20] = False
    assert (images[1].permute(1, 2, 0)[~seen[1]] == CEILING).all(dim=-1).any()
    filled = fill_room(images * seen[:, None], seen, depth, [CAMERA] * 2, poses)
    assert float(((filled[1] - images[1]).abs().amax(dim=0) > 0.2).float().mean()) < 0.02


def test_where_nothing_is_known_of_a_room_holes_are_filled_smoothly() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, 48, 64, generator=generator)
    seen = torch.zeros(2, 48, 64, dtype=torch.bool)
    pose = look_at((0.0, 0.0, 1.4), (3.0, 0.0, 1.4)).expand(2, 4, 4)
    unknown = torch.full((2, 48, 64), torch.nan)
    assert torch.equal(fill_room(images, seen, unknown, [CAMERA] * 2, pose), torch.zeros_like(images))
    seen[:, 10:12] = True
    expected = fill_projection(images, seen, unknown, [CAMERA] * 2, pose, how="smooth")
    filled = fill_projection(images, seen, unknown, [CAMERA] * 2, pose, how="room")
    assert torch.allclose(filled, expected, atol=1e-5)


def test_another_way_is_named() -> None:
    arguments = torch.zeros(1, 3, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4), [], torch.eye(4)
    with pytest.raises(ValueError, match="hole_filling must be one of smooth, room, got 'flat'"):
        fill_projection(*arguments, how="flat")  # type: ignore[arg-type]
