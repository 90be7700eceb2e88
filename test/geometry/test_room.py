"""Floor, ceiling and walls of a box, from depth of a part of it, whichever way cameras and world are turned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vmem_ros.geometry import Camera, ManhattanRoom, look_at, pixel_rays

CAMERA = Camera.from_fov(64, 48, 75)
LOW, HIGH = torch.tensor([-3.0, -2.0, 0.2]), torch.tensor([3.0, 2.0, 2.7])
EYE = (0.0, 0.0, 1.5)
UP = (0.0, 0.0, 1.0)
X_UP = torch.eye(4, dtype=torch.float64)[[2, 0, 1, 3]]


def box_from(T_world_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Return depth [H, W] and the side that each pixel shows: 0, 1 walls across x, y; 2 the floor; 3 the ceiling."""
    T = T_world_camera.float()
    ray = pixel_rays(CAMERA, dtype=torch.float32) @ T[:3, :3].T
    depth, axis = ((torch.where(ray > 0, HIGH, LOW) - T[:3, 3]) / ray).min(dim=-1)
    return depth, torch.where(axis == 2, torch.where(ray[..., 2] > 0, 3, 2), axis)


def boxes_from(poses: Tensor) -> tuple[Tensor, Tensor]:
    depth, side = zip(*map(box_from, poses), strict=True)
    return torch.stack(depth), torch.stack(side)


def turned(axis: str, degrees: float) -> Tensor:
    """Return [4, 4] a turn of the camera about its own x (pitch) or z (roll)."""
    i, j = {"x": (1, 2), "z": (0, 1)}[axis]
    out, angle = torch.eye(4, dtype=torch.float64), torch.tensor(degrees).deg2rad()
    out[i, i] = out[j, j] = angle.cos()
    out[i, j], out[j, i] = -angle.sin(), angle.sin()
    return out


LEVEL = turned("x", 0)
TILTS = {
    "level": LEVEL,
    "rolled by 30": turned("z", 30),
    "rolled by 90": turned("z", 90),
    "upside down": turned("z", 180),
    "pitched up by 25": turned("x", 25),
    "pitched down by 25, rolled by 20": turned("x", -25) @ turned("z", 20),
}


def tilted(poses: Tensor, tilt: str) -> Tensor:
    """Return poses [2, 4, 4] with tilted cameras and one that is level, so that floor and ceiling are seen."""
    return torch.cat([poses @ TILTS[tilt], look_at(EYE, (3.0, -1.0, 1.3))[None]])


@pytest.fixture
def poses() -> Tensor:
    return torch.stack([look_at(EYE, (3.0, y, 1.3)) for y in (0.0, 1.5)])


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("T_world_scene", [LEVEL, X_UP], ids=["z up", "x up"])
def test_rays_meet_the_sides_of_a_box(poses: Tensor, tilt: str, T_world_scene: Tensor) -> None:
    poses = tilted(poses, tilt)
    depth, side = boxes_from(poses)
    up = tuple(T_world_scene[:3, 2].tolist())
    room = ManhattanRoom.seen_in(depth, [CAMERA] * 3, T_world_scene @ poses, up=up)
    assert room.applies
    assert torch.allclose(room.to_floor[side == 2], depth[side == 2], rtol=1e-3)
    assert torch.allclose(room.to_ceiling[side == 3], depth[side == 3], rtol=1e-3)
    assert room.to_floor[side == 3].isinf().all()
    assert room.depth.isfinite().float().mean() > 0.97
    assert float(((room.depth / depth - 1).abs() < 0.01).float().mean()) > 0.95
    for found, number in ((room.is_floor, 2), (room.is_ceiling, 3)):
        assert float((found == (side == number)).float().mean()) > 0.95


@pytest.mark.parametrize("tilt", TILTS)
def test_what_is_hidden_is_known_from_what_is_seen(poses: Tensor, tilt: str) -> None:
    poses = tilted(poses, tilt)
    truth, _ = boxes_from(poses)
    hidden = torch.zeros(3, 48, 64, dtype=torch.bool)
    hidden[0, :, 44:] = hidden[1, :, :12] = True
    hidden[:2, 20:28, 20:36] = True
    room = ManhattanRoom.seen_in(torch.where(hidden, torch.nan, truth), [CAMERA] * 3, poses)
    claimed = hidden & room.depth.isfinite()
    assert float(claimed[hidden].float().mean()) > 0.9
    assert float(((room.depth / truth - 1).abs() < 0.02)[claimed].float().mean()) > 0.85


def test_far_from_the_origin_it_is_the_same(poses: Tensor) -> None:
    """As where maps count metres from the equator."""
    depth, _ = boxes_from(poses)
    here, far = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses), poses.clone()
    far[:, :3, 3] += torch.tensor([448_262.0, 5_411_933.0, 35.0])
    there = ManhattanRoom.seen_in(depth, [CAMERA] * 2, far)
    assert torch.allclose(there.depth, here.depth, rtol=1e-3, equal_nan=True)


def test_which_way_a_wall_is_does_not_matter_for_where_the_numbers_of_azimuths_begin() -> None:
    """Azimuth jumps from pi to -pi in the middle of a picture that looks along -x."""
    poses = torch.stack([look_at(EYE, (-3.0, y, 1.3)) for y in (0.0, 1.5)])
    depth, _ = boxes_from(poses)
    room = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses)
    assert float(((room.depth / depth - 1).abs() < 0.01).float().mean()) > 0.95


class TestNoRoom:
    """Too little evidence: nothing is claimed."""

    def test_nothing_is_met_where_nothing_is_known(self, poses: Tensor) -> None:
        room = ManhattanRoom.seen_in(torch.full((2, 48, 64), torch.nan), [CAMERA] * 2, poses)
        assert room.to_floor.isinf().all()
        assert room.to_ceiling.isinf().all()
        assert room.to_wall.isinf().all()
        assert not room.is_floor.any()
        assert not room.applies
        assert room.depth.isnan().all()

    @pytest.mark.parametrize("missing", ["floor", "ceiling", "walls"])
    def test_a_room_has_floor_ceiling_and_walls(self, poses: Tensor, missing: str) -> None:
        depth, side = boxes_from(poses)
        of_it = {"floor": side == 2, "ceiling": side == 3, "walls": side < 2}[missing]
        room = ManhattanRoom.seen_in(torch.where(of_it, torch.nan, depth), [CAMERA] * 2, poses)
        assert not room.applies
        assert room.depth.isnan().all()

    def test_under_the_sky_there_is_no_room(self, poses: Tensor) -> None:
        """A courtyard with one arcade: floor, walls and a ceiling, and half of what is above is open."""
        depth, side = boxes_from(poses)
        depth[1, side[1] == 3] = torch.inf
        room = ManhattanRoom.seen_in(depth, [CAMERA] * 2, poses)
        assert room.floor.isfinite()
        assert room.ceiling.isfinite()
        assert not room.applies
        assert room.depth.isnan().all()

    def test_who_does_not_know_which_way_is_up(self, poses: Tensor) -> None:
        room = ManhattanRoom.seen_in(boxes_from(poses)[0], [CAMERA] * 2, poses, up=None)
        assert not room.applies
        assert room.depth.isnan().all()

    def test_away_from_all_walls_only_what_is_near_is_claimed(self, poses: Tensor) -> None:
        """A view that shows nothing, beside one that shows the room: no wall is known in its direction."""
        depth, _ = boxes_from(poses[:1])
        away = torch.cat([look_at(EYE, (-3.0, 0.0, 0.2))[None], poses[:1]])
        room = ManhattanRoom.seen_in(torch.cat([torch.full_like(depth, torch.nan), depth]), [CAMERA] * 2, away)
        truth, side = box_from(away[0])
        claimed = room.depth[0].isfinite()
        assert 0 < float(claimed.float().mean()) < 0.3
        assert (side[claimed] == 2).all()
        assert torch.allclose(room.depth[0][claimed], truth[claimed], rtol=1e-3)

    @pytest.mark.parametrize("up", [(0.0, 0.0, 0.0), (torch.nan, 0.0, 1.0), (0.0, 1.0)])
    def test_no_direction(self, poses: Tensor, up: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="up must be a direction"):
            ManhattanRoom.seen_in(boxes_from(poses)[0], [CAMERA] * 2, poses, up=up)  # type: ignore[arg-type]


def test_every_ray_shows_a_surface_though_its_depth_is_unknown(poses: Tensor) -> None:
    """For colours: what is far or unknown looks like a wall, and what is below or above like floor and ceiling."""
    depth, side = boxes_from(poses)
    only_level = torch.where(side < 2, torch.nan, depth)
    room = ManhattanRoom.seen_in(only_level, [CAMERA] * 2, poses)
    assert room.depth.isnan().all()
    kind = torch.where(side < 2, 2, side - 2)
    near = depth * torch.linalg.vector_norm(pixel_rays(CAMERA)[..., ::2], dim=-1) < 5
    assert float((room.surface == kind)[near & (side >= 2)].float().mean()) > 0.95
    assert (room.surface[:, 21] == 2).all()
