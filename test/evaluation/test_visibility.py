"""Which pixels nobody has seen: against rays through an analytic room and through a house."""

import dataclasses

import pytest
import torch

from rooms import PANEL_HALF, PANEL_X, box_view, orbit
from vmem_ros.evaluation.visibility import unseen_pixels
from vmem_ros.geometry import Camera, invert, look_at, project, transform, unproject
from vmem_ros.scenes.house import HOUSE_FOV_DEG
from vmem_ros.types import Target, View

CAMERA = Camera.from_fov(96, 72, 80)
#: In the middle of the room, looking at the panel.
GIVEN = look_at((0.0, 0.2, 0.1), (2.0, 0.1, 0.0))


def surface(view: View) -> torch.Tensor:
    """World points [H * W, 3] that a view shows."""
    return transform(view.T_world_camera, unproject(view.depth.double(), view.camera)).flatten(0, 1)


def in_frustum(points: torch.Tensor, given: View) -> torch.Tensor:
    pixels, _ = project(transform(invert(given.T_world_camera), points), given.camera)
    size = torch.tensor([given.camera.width, given.camera.height])
    return ((pixels >= 0) & (pixels <= size)).all(dim=-1)


def behind_panel(points: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
    """Whether the ray from an origin to each point passes through the panel before it ends."""
    along = (PANEL_X - origin[0]) / (points[:, 0] - origin[0])
    across = (origin + along[:, None] * (points - origin))[:, 1:].abs().amax(dim=-1)
    return (along > 0) & (along < 1 - 1e-5) & (across < PANEL_HALF)


@pytest.mark.parametrize("eye", [(-1.5, 1.8, 0.6), (1.0, -1.5, -0.4), (2.4, 0.3, 0.2), (0.0, 0.2, 0.1)])
def test_in_a_room_with_a_panel_it_is_what_rays_say(eye):
    given = box_view(CAMERA, GIVEN, panel=True)
    view = box_view(CAMERA, look_at(eye, (2.9, 0.2, 0.0)), panel=True)
    points = surface(view)
    unseen = ~in_frustum(points, given) | behind_panel(points, GIVEN[:3, 3])
    # Along the border of the panel's shadow a pixel may go either way.
    assert float((unseen_pixels(view, [given]).flatten() != unseen).double().mean()) < 0.01


def test_nothing_hides_behind_the_corners_of_an_empty_room():
    given = box_view(CAMERA, GIVEN)
    for T in orbit(6):
        view = box_view(CAMERA, T)
        assert torch.equal(unseen_pixels(view, [given]).flatten(), ~in_frustum(surface(view), given))


def test_what_any_view_sees_is_seen():
    view = box_view(CAMERA, orbit(6)[1])
    given = [box_view(CAMERA, T) for T in orbit(6)[[0, 3]]]
    first, second = (unseen_pixels(view, [each]) for each in given)
    assert torch.equal(unseen_pixels(view, given), first & second)
    assert bool(unseen_pixels(view, []).all())
    assert not bool(unseen_pixels(view, [view]).any())


@pytest.mark.slow
def test_in_a_house_it_agrees_with_its_ray_caster(house):
    camera = Camera.from_fov(128, 128, HOUSE_FOV_DEG)
    path = house.random_walk(9, 0, step=0.5)
    given = house.view(Target(camera, path[0]))
    for T in path[[1, 4, 8]]:
        view = house.view(Target(camera, T))
        points = surface(view)
        exact = ~in_frustum(points, given) | ~house.visible(path[0, :3, 3].expand_as(points), points)
        found = unseen_pixels(view, [given]).flatten()
        assert float((found != exact).double().mean()) < 0.015
        assert abs(float(found.double().mean() - exact.double().mean())) < 0.01


class TestSky:
    """A wall on the left of the image, nothing on the right."""

    def half_open(self, T_world_camera: torch.Tensor) -> View:
        depth = torch.full(CAMERA.size, 2.0)
        depth[:, 48:] = torch.inf
        return View(torch.zeros(72, 96, 3, dtype=torch.uint8), CAMERA, T_world_camera, depth)

    def test_the_same_sky_is_seen_from_elsewhere(self):
        here, beside = GIVEN.clone(), GIVEN.clone()
        beside[:3, 3] += 3 * GIVEN[:3, 0]
        unseen = unseen_pixels(self.half_open(here), [self.half_open(beside)])
        assert not bool(unseen[:, 48:].any())

    def test_another_direction_and_a_wall_show_no_sky(self):
        view = self.half_open(GIVEN)
        turned = GIVEN @ torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64))
        walled = dataclasses.replace(view, depth=torch.full(CAMERA.size, 2.0))
        assert bool(unseen_pixels(view, [self.half_open(turned)]).all())
        assert bool(unseen_pixels(view, [walled])[:, 48:].all())
        assert not bool(unseen_pixels(view, [walled])[:, :48].any())


def test_unknown_depth_sees_nothing_and_is_never_unseen():
    view = box_view(CAMERA, GIVEN)
    holes = dataclasses.replace(view, depth=torch.where(torch.arange(96) < 48, torch.nan, view.depth))
    assert bool(unseen_pixels(view, [holes])[:, :46].all())
    assert not bool(unseen_pixels(view, [holes])[:, 50:].any())
    assert not bool(unseen_pixels(holes, [])[:, :48].any())


def test_a_view_without_depth_is_refused():
    view = box_view(CAMERA, GIVEN)
    with pytest.raises(ValueError, match="exact depth"):
        unseen_pixels(view, [dataclasses.replace(view, depth=None)])
