"""Houses can be lived in and driven through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vmem_ros.geometry import as_pose
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.scenes.trajectories import CLEARANCE_M

SEEDS = [0, 1, 2, 3, 4, EVALUATION_SEEDS[0], EVALUATION_SEEDS[7]]


@pytest.fixture(scope="module", params=SEEDS)
def house(request: pytest.FixtureRequest) -> House:
    return House(request.param)


def paths(house: House) -> dict[str, torch.Tensor]:
    return {
        "loop": house.loop(48),
        "out_and_back": house.out_and_back(25),
        "drive": house.drive(90),
        "random_walk": house.random_walk(60, seed=1),
    }


def rooms_of(house: House, poses: torch.Tensor) -> list[int]:
    """The room of every pose, by the cells that tile the house."""
    x, y = poses[:, 0, 3:4].numpy(), poses[:, 1, 3:4].numpy()
    c = np.array([r.cell for r in house.rooms])
    return list(((x >= c[:, 0]) & (x < c[:, 2]) & (y >= c[:, 1]) & (y < c[:, 3])).argmax(axis=1))


def turns(poses: torch.Tensor) -> np.ndarray:
    R = poses[:, :3, :3]
    cosine = ((R[1:] * R[:-1]).sum(dim=(1, 2)) - 1) / 2
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).numpy()


def test_houses_have_three_to_six_rooms_and_every_room_can_be_reached(house: House) -> None:
    assert 3 <= len(house.rooms) <= 6
    reached = {0}
    for _ in house.rooms:
        reached |= {r for door in house.doors for r in door.rooms if reached & set(door.rooms)}
    assert reached == set(range(len(house.rooms)))
    points = house.free_space.centres(house.free_space.reachable(CLEARANCE_M))
    for room in house.rooms:
        x0, y0, x1, y1 = room.bounds
        inside = (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)
        assert inside.sum() > 50, room.name


def test_rooms_are_furnished_and_furniture_stays_in_its_room(house: House) -> None:
    for index, room in enumerate(house.rooms):
        inside = [s for s in house.solids if s.room == index and not s.grounded]
        assert len(inside) > 15
        x0, y0, x1, y1 = room.cell
        for solid in inside:
            assert x0 - 0.01 <= solid.centre[0] <= x1 + 0.01
            assert y0 - 0.01 <= solid.centre[1] <= y1 + 0.01
            assert -0.11 <= solid.low < solid.high <= 2.6 + 1e-9


def test_paths_are_poses_in_free_space(house: House) -> None:
    for name, poses in paths(house).items():
        assert torch.equal(as_pose(poses), poses), name
        assert house.is_free(poses[:, :3, 3], radius=0.15).all(), name
        # The robot below the camera fits too.
        assert (house.free_space.at(poses[:, :3, 3].numpy()) >= CLEARANCE_M).all(), name
        # Nothing stands between two poses.
        assert bool(house.visible(poses[:-1, :3, 3], poses[1:, :3, 3]).float().mean() > 0.95), name


def test_cameras_are_upright(house: House) -> None:
    for poses in paths(house).values():
        assert poses[:, 2, 0].abs().max() < 1e-12
        assert (poses[:, 2, 1] < -0.9).all()


def test_loop_closes_and_passes_two_rooms(house: House) -> None:
    loop = house.loop(48)
    assert loop.shape == (48, 4, 4)
    assert torch.equal(loop[0], loop[-1])
    assert set(rooms_of(house, loop)) >= set(house.loop_rooms)
    steps = torch.linalg.vector_norm(loop[1:, :3, 3] - loop[:-1, :3, 3], dim=1)
    assert steps.max() < 1.0
    assert turns(loop).max() < 45


def test_out_and_back_is_its_own_mirror(house: House) -> None:
    for n in (24, 25):
        poses = house.out_and_back(n)
        assert len(poses) == n
        assert torch.equal(poses, poses.flip(0))
    assert set(rooms_of(house, poses)) >= set(house.loop_rooms)


def test_drive_surveys_all_rooms_or_those_asked_for(house: House) -> None:
    assert set(rooms_of(house, house.drive(30 * len(house.rooms)))) == set(range(len(house.rooms)))
    pair = house.loop_rooms
    # A way from one to the other may lead through a third.
    assert set(rooms_of(house, house.drive(40, rooms=pair))) >= set(pair)


def test_random_walks_differ_by_seed_and_keep_their_step(house: House) -> None:
    a, again, b = house.random_walk(40, seed=0), house.random_walk(40, seed=0), house.random_walk(40, seed=1)
    assert torch.equal(a, again)
    assert not torch.equal(a, b)
    steps = torch.linalg.vector_norm(a[1:, :3, 3] - a[:-1, :3, 3], dim=1)
    assert steps.max() <= 0.2 + 1e-9
    assert turns(a).max() < 30


def test_height_and_pitch_are_those_asked_for() -> None:
    poses = House(0).loop(12, height=1.1, pitch=-0.2)
    assert bool((poses[:, 2, 3] == 1.1).all())
    np.testing.assert_allclose(poses[:, 2, 2], math.sin(-0.2))


def test_free_space_is_inside_and_clear_of_things() -> None:
    house = House(0)
    x, y = house.rooms[0].centre
    assert not house.is_free([[x, y, -0.01], [x, y, 2.61], [-1.0, -1.0, 1.0]]).any()
    for solid in house.solids[::20]:
        assert not house.is_free([solid.centre])[0]
    rng = np.random.default_rng(0)
    points = rng.uniform([0, 0, 0], [*house.plan.size, 2.6], (500, 3))
    free = [house.is_free(points, radius=r) for r in (0.0, 0.1, 0.3)]
    assert free[0].sum() > free[1].sum() > free[2].sum() > 0
    assert not (free[1] & ~free[0]).any()
    assert not (free[2] & ~free[1]).any()


@pytest.mark.slow
def test_a_free_ball_meets_no_surface() -> None:
    """What free space promises, the renderer confirms: nothing is nearer than the radius in any direction."""
    from vmem_ros.geometry import Camera, look_at, pixel_rays

    house = House(6)
    rng = np.random.default_rng(1)
    points = rng.uniform([0, 0, 0.3], [*house.plan.size, 2.3], (400, 3))
    points = points[house.is_free(points, radius=0.2)][:8]
    camera = Camera.from_fov(32, 32, 100)
    ray = torch.linalg.vector_norm(pixel_rays(camera), dim=-1)
    for p in points:
        around = torch.stack([look_at(p, p + np.array([math.cos(a), math.sin(a), 0.3])) for a in (0, 1.6, 3.1, 4.7)])
        assert float((house.render_batch(camera, around).depth * ray).min()) > 0.2 - 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h: h.loop(0), "n must be"),
        (lambda h: h.out_and_back(1), "n must be"),
        (lambda h: h.drive(-3), "n must be"),
        (lambda h: h.random_walk(0, seed=0), "n must be"),
        (lambda h: h.random_walk(5, seed=-1), "seed"),
        (lambda h: h.random_walk(5, seed=0, step=0.0), "step"),
        (lambda h: h.loop(5, rooms=[99]), "rooms must be"),
        (lambda h: h.drive(5, rooms=[]), "rooms must be"),
        (lambda h: h.out_and_back(5, rooms=[0]), "two different rooms"),
        (lambda h: h.is_free([[0.0, 1.0]]), r"\[N, 3\]"),
        (lambda h: h.is_free([[0.0, 1.0, 1.0]], radius=-1), "radius"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(House(0))
