"""Pictures of procedural houses are exact, the same everywhere, and show what is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vmem_ros.errors import InvalidPoseError
from vmem_ros.geometry import Camera, invert, look_at, normals_from_points, project, transform, unproject
from vmem_ros.scenes import EVALUATION_SEEDS, TRAINING_SEEDS, House
from vmem_ros.types import Target

CAMERA = Camera.from_fov(96, 80, 75)


@pytest.fixture(scope="module")
def house() -> House:
    return House(EVALUATION_SEEDS[0])


@pytest.fixture(scope="module")
def poses(house: House) -> torch.Tensor:
    """A drive through all rooms, and a camera on a threshold, where culling by rooms is hardest."""
    x, y = house.doors[0].centre
    a, b = (house.rooms[r].centre for r in house.doors[0].rooms)
    threshold = torch.stack([look_at((x, y, 1.3), (*centre, 1.1)) for centre in (a, b)])
    return torch.cat([house.drive(10), threshold])


def first_hit(house: House, origin: np.ndarray, direction: np.ndarray) -> float:
    """The distance to the nearest surface, solid by solid in double precision: nothing shared with the renderer."""
    best = np.inf
    for solid in house.solids:
        c, s = np.cos(solid.yaw), np.sin(solid.yaw)
        R = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        o = R @ (origin - np.array(solid.centre)) / np.array(solid.half)
        d = R @ direction / np.array(solid.half)
        axes = [2] if solid.shape == "cylinder" else [] if solid.shape == "ellipsoid" else [0, 1, 2]
        near, far = -np.inf, np.inf
        for k in axes:
            a, b = sorted(((-1 - o[k]) / d[k], (1 - o[k]) / d[k]))
            near, far = max(near, a), min(far, b)
        if solid.shape != "box":
            w = np.array([1, 1, 0 if solid.shape == "cylinder" else 1])
            roots = np.roots([(w * d * d).sum(), 2 * (w * o * d).sum(), (w * o * o).sum() - 1])
            if np.iscomplexobj(roots):
                continue
            near, far = max(near, roots.min()), min(far, roots.max())
        if 1e-4 < near < far:
            best = min(best, float(near))
    return best


@pytest.mark.slow
def test_an_evening_is_darker_and_everything_stands_where_it_stood(house: House, poses: torch.Tensor) -> None:
    evening = House(EVALUATION_SEEDS[0], time_of_day="evening").render_batch(CAMERA, poses)
    day = house.render_batch(CAMERA, poses)
    assert torch.equal(evening.depth, day.depth)
    assert float(evening.image.float().mean()) < 0.9 * float(day.image.float().mean())
    with pytest.raises(ValueError, match=r"time_of_day must be one of \['day', 'evening'\]"):
        House(0, time_of_day="noon")  # type: ignore[arg-type]


def test_depth_is_that_of_the_nearest_surface(house: House, poses: torch.Tensor) -> None:
    rng = np.random.default_rng(0)
    depth = house.render_batch(CAMERA, poses).depth
    K = CAMERA.K.numpy()
    for pose, picture in zip(poses.numpy(), depth, strict=True):
        for u, v in zip(rng.integers(0, CAMERA.width, 12), rng.integers(0, CAMERA.height, 12), strict=True):
            ray = np.linalg.solve(K, [u + 0.5, v + 0.5, 1.0])
            expected = first_hit(house, pose[:3, 3], pose[:3, :3] @ ray)
            assert float(picture[v, u]) == pytest.approx(expected, abs=1e-3)


def test_ceiling_is_where_it_should_be(house: House) -> None:
    x, y = house.rooms[0].bounds[0] + 0.4, house.rooms[0].bounds[1] + 0.4
    up = look_at((x, y, 1.4), (x, y, 2.4), up=(0, 1, 0))
    rendering = house.render((Camera.from_fov(9, 9, 6), up))
    torch.testing.assert_close(rendering.depth, torch.full((9, 9), 1.2), atol=1e-5, rtol=0)
    torch.testing.assert_close(rendering.normals, torch.tensor([0.0, 0.0, -1.0]).expand(9, 9, 3))


def test_two_views_agree_on_surfaces_and_colours(house: House) -> None:
    room = house.rooms[house.loop_rooms[0]]
    T = house.loop(120)[:2]
    camera = Camera.from_fov(240, 180, 75)
    pictures = house.render_batch(camera, T, supersample=2)
    points = transform(invert(T[1]) @ T[0], unproject(pictures.depth[0], camera).double())
    pixels, z = project(points, camera)
    u, v = pixels.nan_to_num(-1).floor().long().unbind(-1)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height) & (z > 0)
    assert inside.float().mean() > 0.5, room.name
    there = pictures.depth[1][v[inside], u[inside]].double()
    same = ((there - z[inside]).abs() < 0.03).double().mean()
    assert same > 0.9
    colour = pictures.image[0][inside].double()
    difference = (pictures.image[1][v[inside], u[inside]].double() - colour).abs().mean(dim=-1)
    assert float(difference.median()) < 4


def test_normals_are_unit_face_the_camera_and_fit_the_depth(house: House, poses: torch.Tensor) -> None:
    batch = house.render_batch(CAMERA, poses)
    for depth, normals in zip(batch.depth, batch.normals, strict=True):
        points = unproject(depth, CAMERA)
        torch.testing.assert_close(torch.linalg.vector_norm(normals, dim=-1), torch.ones(CAMERA.size))
        assert bool(((normals * points).sum(dim=-1) < 0).all())
        estimated = normals_from_points(points)
        cosine = (estimated * normals).sum(dim=-1).nan_to_num(0)
        assert (cosine > 0.99).float().mean() > 0.7


def test_a_batch_is_its_pictures_one_by_one(house: House, poses: torch.Tensor) -> None:
    batch = house.render_batch(CAMERA, poses)
    for k in (0, len(poses) - 1):
        one = house.render(Target(CAMERA, poses[k]))
        torch.testing.assert_close(one.depth, batch.depth[k], atol=1e-4, rtol=0)
        assert (one.image.int() - batch.image[k].int()).abs().float().mean() < 0.1


def test_size_that_is_no_multiple_of_a_tile(house: House, poses: torch.Tensor) -> None:
    whole = Camera.from_fov(64, 48, 75)
    K = whole.K.clone()
    K[0, 2] -= 5
    K[1, 2] -= 3
    cut = Camera(K, 37, 29)
    big, small = house.render((whole, poses[0])), house.render((cut, poses[0]))
    torch.testing.assert_close(small.depth, big.depth[3:32, 5:42], atol=1e-4, rtol=0)
    assert (small.image.int() - big.image[3:32, 5:42].int()).abs().float().mean() < 0.1


def test_supersampling_smooths_the_image_and_leaves_depth_alone(house: House, poses: torch.Tensor) -> None:
    plain, smooth = (house.render((CAMERA, poses[0]), supersample=s) for s in (1, 3))
    assert torch.equal(plain.depth, smooth.depth)
    fine = house.render((CAMERA.resized(CAMERA.width * 3, CAMERA.height * 3), poses[0])).image
    mean = fine.view(CAMERA.height, 3, CAMERA.width, 3, 3).float().mean(dim=(1, 3))
    assert (smooth.image.float() - mean).abs().max() <= 1


def test_a_small_picture_is_a_large_one_shrunk(house: House, poses: torch.Tensor) -> None:
    large = house.render_batch(CAMERA.resized(384, 320), poses).image.float()
    shrunk = large.view(len(poses), 80, 4, 96, 4, 3).mean(dim=(2, 4))
    small = house.render_batch(CAMERA, poses, supersample=2).image.float()
    assert (small - shrunk).abs().mean() < 6
    # Textures are filtered: without supersampling only the edges of things may be jagged.
    jagged = house.render_batch(CAMERA, poses).image.float()
    assert (jagged - shrunk).abs().mean() < 9


@pytest.mark.slow
def test_equal_seeds_give_equal_pictures_whatever_others_draw() -> None:
    pictures = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        np.random.seed(noise)  # noqa: NPY002 - the point is that the global generator does not matter
        house = House(6)
        pictures.append(house.render((CAMERA, house.loop(5)[0])).image)
    assert torch.equal(*pictures)


@pytest.mark.slow
def test_other_seeds_give_other_houses(house: House) -> None:
    other = House(EVALUATION_SEEDS[9])
    assert other.plan.size != house.plan.size
    a, b = (h.render((CAMERA, h.loop(5)[0])).image.float() for h in (house, other))
    assert (a - b).abs().mean() > 10


def test_training_and_evaluation_never_meet() -> None:
    assert not set(EVALUATION_SEEDS) & set(TRAINING_SEEDS)
    assert len(TRAINING_SEEDS) >= 100_000
    assert len(EVALUATION_SEEDS) >= 100


def test_pictures_are_lit_and_can_be_told_apart(house: House) -> None:
    images = house.render_batch(CAMERA, house.drive(12)).image.float()
    assert images.mean(dim=(1, 2, 3)).min() > 50
    assert images.std(dim=(1, 2)).mean() > 25
    difference = (images[:, None] - images[None]).abs().mean(dim=(2, 3, 4))
    assert float((difference + 1000 * torch.eye(12)).min()) > 8


def test_view_is_what_a_perfect_camera_records(house: House, poses: torch.Tensor) -> None:
    view = house.view(Target(CAMERA, poses[0], stamp_ns=42))
    assert (view.source, view.stamp_ns) == ("observed", 42)
    assert view.depth is not None
    assert view.confidence is not None
    assert bool((view.confidence == 1).all())
    assert torch.equal(view.depth, house.render((CAMERA, poses[0])).depth)


def test_outside_there_is_nothing_but_sky(house: House) -> None:
    away = look_at((-5.0, -5.0, 1.5), (-9.0, -9.0, 1.6))
    rendering = house.render((CAMERA, away))
    assert bool(torch.isposinf(rendering.depth).all())
    assert bool(rendering.normals.isnan().all())
    assert len(rendering.image.view(-1, 3).unique(dim=0)) == 1


def test_a_cutaway_shows_every_room_from_above(house: House) -> None:
    target = house.plan_target(160)
    closed, cut = house.render(target), house.render(target, cutaway=True)
    T_camera_world = invert(target.T_world_camera)
    for room in house.rooms:
        centre = torch.tensor([*room.centre, 0.0], dtype=torch.float64)
        (u, v), z = project(transform(T_camera_world, centre), target.camera)
        assert float(closed.depth[int(v), int(u)]) < float(z) - 2.5
        assert float(z) - 1.3 < float(cut.depth[int(v), int(u)]) < float(z) + 0.01


def test_points_see_each_other_through_doors_and_not_through_walls(house: House) -> None:
    door = house.doors[0]
    x, y = door.centre
    step = np.array([0.0, 0.3, 0.0]) if door.axis == "x" else np.array([0.3, 0.0, 0.0])
    along = step[[1, 0, 2]] * (door.width / 2 + 0.25) / 0.3
    gap, wall = np.array([x, y, 1.2]), np.array([x, y, 2.4])
    a, b = np.stack([gap - step, wall - step, gap - step]), np.stack([gap + step, wall + step, gap - step])
    assert house.visible(a, b).tolist() == [True, False, True]
    assert house.visible(b, a).tolist() == [True, False, True]
    assert not house.visible((gap + along - step)[None], (gap + along + step)[None])[0]


@pytest.mark.gpu
def test_a_gpu_gives_the_same_picture(house: House, poses: torch.Tensor) -> None:
    reference = house.render_batch(CAMERA, poses)
    other = house.render_batch(CAMERA, poses, device="cuda")
    assert other.image.device.type == "cuda"
    assert ((other.depth.cpu() - reference.depth).abs() < 1e-3).float().mean() > 0.999
    assert (other.image.cpu().int() - reference.image.int()).abs().float().mean() < 2


def test_bad_input_is_named(house: House, poses: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="seed"):
        House(-1)
    with pytest.raises(ValueError, match="supersample"):
        house.render((CAMERA, poses[0]), supersample=0)
    with pytest.raises(ValueError, match=r"\[N, 4, 4\]"):
        house.render_batch(CAMERA, poses[0])
    with pytest.raises(InvalidPoseError):
        house.render((CAMERA, 2 * poses[0]))
