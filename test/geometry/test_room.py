"""Floor, ceiling and walls of a box, from depth of a part of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vmem_ros.geometry import Camera, ManhattanRoom, look_at, pixel_rays
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Projection, Recall, View

CAMERA = Camera.from_fov(64, 48, 75)
LOW, HIGH = torch.tensor([-3.0, -2.0, 0.2]), torch.tensor([3.0, 2.0, 2.7])


def box_from(T_world_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Return depth [H, W] and the axis of the side that each pixel shows."""
    T = T_world_camera.float()
    ray = pixel_rays(CAMERA, dtype=torch.float32) @ T[:3, :3].T
    depth, axis = ((torch.where(ray > 0, HIGH, LOW) - T[:3, 3]) / ray).min(dim=-1)
    return depth, torch.where(axis == 2, torch.where(ray[..., 2] > 0, 3, 2), axis)


@pytest.fixture
def poses() -> Tensor:
    return torch.stack([look_at((0.0, 0.0, 1.5), (3.0, y, 1.3)) for y in (0.0, 1.5)])


def test_rays_meet_the_sides_of_a_box(poses: Tensor) -> None:
    depth, side = (torch.stack(each) for each in zip(*map(box_from, poses), strict=True))
    room = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses)
    assert torch.allclose(room.to_floor[side == 2], depth[side == 2], rtol=1e-3)
    assert torch.allclose(room.to_ceiling[side == 3], depth[side == 3], rtol=1e-3)
    assert room.to_floor[side == 3].isinf().all()
    first = torch.stack([room.to_floor, room.to_ceiling, room.to_wall]).amin(dim=0)
    assert float(((first / depth - 1).abs() < 0.01).float().mean()) > 0.97
    for found, number in ((room.is_floor, 2), (room.is_ceiling, 3)):
        assert float((found == (side == number)).float().mean()) > 0.95


def test_far_from_the_origin_it_is_the_same(poses: Tensor) -> None:
    """As where maps count metres from the equator."""
    depth = torch.stack([box_from(T)[0] for T in poses])
    here, far = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses), poses.clone()
    far[:, :3, 3] += torch.tensor([448_262.0, 5_411_933.0, 35.0])
    there = ManhattanRoom.seen_in(depth, [CAMERA] * 2, far)
    assert torch.allclose(there.depth, here.depth, rtol=1e-3)


def test_what_is_hidden_is_known_from_what_is_seen(poses: Tensor) -> None:
    truth, side = (torch.stack(each) for each in zip(*map(box_from, poses), strict=True))
    depth = torch.where((torch.arange(64) < 40) | (side < 0), truth, torch.nan)
    depth[1, :, :20] = torch.nan
    room = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses)
    first = torch.stack([room.to_floor, room.to_ceiling, room.to_wall]).amin(dim=0)
    assert float(((first / truth - 1).abs() < 0.02)[0].float().mean()) > 0.95


def test_nothing_is_met_where_nothing_is_known(poses: Tensor) -> None:
    room = ManhattanRoom.seen_in(torch.full((2, 48, 64), torch.nan), [CAMERA] * 2, poses)
    assert room.to_floor.isinf().all()
    assert room.to_ceiling.isinf().all()
    assert room.to_wall.isinf().all()
    assert not room.is_floor.any()


def test_memorys_depth_stays_above_the_floor(poses: Tensor) -> None:
    """A hole below the middle of the image: smooth depth goes on through the floor."""
    truth, side = box_from(poses[0])
    seen = torch.ones(48, 64, dtype=torch.bool)
    seen[30:44, 8:56] = False
    shown = torch.zeros(48, 64, 3, dtype=torch.uint8)
    depth = torch.where(seen, truth, torch.nan)
    projection = Projection(shown, depth, seen, torch.where(seen, 0, -1), seen.float())
    recall = Recall((), torch.empty(0, dtype=torch.float64), (), (projection,))
    (found,) = MemoryDepth().estimate([View(shown, CAMERA, poses[0])], recall)
    assert torch.equal(found.depth[seen], truth[seen])
    hidden = ~seen & (side == 2)
    assert hidden.sum() > 100
    assert bool((found.depth[hidden] <= truth[hidden] * 1.001).all())


def test_a_reference_knows_the_room_of_a_view_that_shows_nothing(poses: Tensor) -> None:
    depth, side = box_from(poses[0])
    black = torch.zeros(48, 64, 3, dtype=torch.uint8)
    nothing = torch.zeros(48, 64, dtype=torch.bool)
    unknown = torch.full((48, 64), torch.nan)
    projection = Projection(black, unknown, nothing, torch.full((48, 64), -1), nothing.float())
    away = View(black, CAMERA, look_at((0.0, 0.0, 1.5), (-3.0, 0.0, 1.3)))
    weights = torch.ones(1, dtype=torch.float64)
    for views, finite in (((), False), ((View(black, CAMERA, poses[0], depth=depth),), True)):
        recall = Recall(views, weights[: len(views)], tuple(range(len(views))), (projection,))
        (found,) = MemoryDepth().estimate([away], recall)
        assert bool(found.depth.isfinite().all()) == finite
    # The camera is in the middle: what is behind it is as what is before it, but for the wall, which nobody saw.
    floor = (side == 2).flip(1)
    assert torch.allclose(found.depth[floor], depth.flip(1)[floor], rtol=1e-3)
