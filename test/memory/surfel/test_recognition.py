"""What is seen again makes no surfels again, although poses and depth are off; what is new or seen more finely does."""

import dataclasses

import pytest
import torch

from memories import CAMERA, memory_of, views_at, write
from rooms import box_view, orbit
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import View

POSES = orbit(8)


def off(view: View, seed: int, *, metres: float = 0.01, degrees: float = 0.5) -> View:
    """The same picture, believed to be from a pose that is off by so much."""
    g = torch.Generator().manual_seed(seed)
    step, axis = (torch.nn.functional.normalize(torch.randn(3, generator=g, dtype=torch.float64), dim=0) for _ in "12")
    x, y, z = (axis * torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))).tolist()
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64))
    T[:3, 3] = metres * step
    return dataclasses.replace(view, T_world_camera=view.T_world_camera @ T)


def test_a_room_does_not_grow_although_poses_are_off():
    views = views_at(POSES)
    memory = memory_of(views)
    n = memory.n_surfels
    for seed in range(5):
        for view in views:
            write(memory, [off(view, seed)])
    assert memory.n_surfels < 1.25 * n


def test_surfels_seen_again_gain_the_view():
    views = views_at(POSES[:2])
    memory = memory_of(views)
    write(memory, [off(views[0], 7)])
    seen = memory._index.observations
    again, first = seen.of(2), seen.of(0)
    assert torch.isin(again, first).float().mean() > 0.8


@pytest.mark.parametrize(("factor", "grows"), [(1.005, False), (0.9, True), (1.2, True)])
def test_only_the_same_surface_is_recognised(factor, grows):
    view = views_at(POSES[:1])[0]
    memory = memory_of([view])
    n = memory.n_surfels
    write(memory, [dataclasses.replace(view, depth=factor * view.depth)])
    assert (memory.n_surfels > 1.5 * n) == grows


def test_what_is_imagined_is_not_recognised_by_a_camera():
    view = views_at(POSES[:1])[0]
    memory = memory_of([dataclasses.replace(view, source="generated")])
    n = memory.n_surfels
    write(memory, [off(view, 1)])
    assert memory.n_surfels > 1.8 * n


def test_a_nearer_look_makes_finer_surfels():
    far, near = look_at((-1.5, 0, 0), (2, 0, 0)), look_at((1.0, 0, 0), (2, 0, 0))
    memory = memory_of([box_view(CAMERA, far)])
    n = memory.n_surfels
    write(memory, [box_view(CAMERA, near)])
    assert memory.n_surfels > n + 0.5 * memory._index.observations.of(1).numel()


def test_a_camera_with_skew():
    view = views_at(POSES[:1])[0]
    K = CAMERA.K.clone()
    K[0, 1] = 0.5
    memory = memory_of([view])
    n = memory.n_surfels
    write(memory, [dataclasses.replace(off(view, 2), camera=Camera(K, CAMERA.width, CAMERA.height))])
    assert memory.n_surfels < 1.3 * n
