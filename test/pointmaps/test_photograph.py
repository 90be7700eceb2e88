"""One photograph without depth: shown whole at its own pose and near it, with the depth network that ships."""

import dataclasses

import numpy as np
import pytest
import torch

from rooms import box_view
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import AlignedDepth, DepthPrediction, ScalePrior, load_estimator
from vmem_ros.pointmaps.doubt import calmed
from vmem_ros.pointmaps.outdoors import EYE_HEIGHT_M, FAR_M, SKY_M, outdoor_depth, shows_sky
from vmem_ros.pointmaps.sky import find_sky
from vmem_ros.pointmaps.tearing import torn
from vmem_ros.scenes.house import House
from vmem_ros.showcase.photo_moves import moves, own_pose_psnr
from vmem_ros.types import Target, View
from vmem_ros.world import World

LEVEL = look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def as_photo(image: np.ndarray | torch.Tensor, T_world_camera: torch.Tensor = LEVEL) -> View:
    image = torch.as_tensor(image)
    camera = Camera.from_fov(image.shape[1], image.shape[0], 60)
    return View(image, camera, T_world_camera, source="observed")


def meadow(height: int = 96, width: int = 144) -> np.ndarray:
    """Return a red house on a meadow below a blue sky; the horizon is in the middle."""
    noise = np.random.default_rng(0).normal(0, 18, (height, width, 1))
    y, x = np.mgrid[0:height, 0:width]
    sky = np.array([90, 150, 235]) + (y / height)[..., None] * np.array([160, 110, 20])
    image = np.where((y > height // 2)[..., None], np.array([70, 120, 50]) + noise, sky)
    house = (abs(x - 0.65 * width) < 0.13 * width) & (abs(y - 0.52 * height) < 0.16 * height)
    return np.where(house[..., None], np.array([150, 60, 50]) + noise, image).clip(0, 255).astype(np.uint8)


def shapes(height: int = 96, width: int = 144) -> np.ndarray:
    """Return what no camera sees: a disc before stripes."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([255 * (np.sin(x / 5) > 0), 2 * y, x], axis=-1)
    disc = (x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    return np.where(disc[..., None], np.array([250, 230, 20]), image).clip(0, 255).astype(np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def room() -> torch.Tensor:
    """Return a picture of a furnished room."""
    house = House(1000013)
    return house.view(Target(Camera.from_fov(144, 96, 60), house.drive(3)[1]), supersample=2).image


PHOTOS = {
    "room": room,
    "meadow": meadow,
    "shapes": shapes,
    "portrait": lambda: meadow(150, 90),
    "panorama": lambda: noise(50, 200),
    "tiny": lambda: noise(32, 40),
    "plain": lambda: np.full((96, 144, 3), 90, np.uint8),
}


@pytest.fixture(scope="module")
def estimator():
    return load_estimator("small", scene="auto")


@pytest.mark.parametrize("name", PHOTOS)
def test_it_is_shown_whole_where_it_was_taken_and_near_it(name, estimator):
    photo = as_photo(PHOTOS[name]())
    world = World(load_memory(), ReprojectionGenerator(), estimator, reuse_views=False)
    own, *near = [moved for _, moved in moves(world, photo)]
    assert own.share >= 0.99
    assert own_pose_psnr(own.shown.image, photo) >= 35
    assert own_pose_psnr(own.drawn.image, photo) >= 35
    # Holes only where depth jumps: beside the house on the meadow, and the frame of the door that the room is seen
    # through.
    torn_away = {"meadow": 0.02, "portrait": 0.02, "room": 0.05}
    assert [moved.share_within for moved in near] == pytest.approx([1, 1, 1], abs=torn_away.get(name, 0.005))
    # Not only because a view is found at its own pose: its surface has no holes.
    beside = photo.T_world_camera.clone()
    beside[1, 3] += 1e-4
    assert float(world.glimpse(Target(photo.camera, beside)).seen.float().mean()) >= 0.99


def test_a_network_that_is_sure_of_nothing_loses_no_pixel():
    class Unsure:
        name, metric, scale_prior = "unsure", True, ScalePrior()

        def predict(self, views, recall):
            steps = torch.linspace(0.3, 1.5, views[0].camera.width).expand(views[0].camera.size)
            return [DepthPrediction(torch.full_like(steps, 2.0), steps) for _ in views]

    world = World(load_memory(), ReprojectionGenerator(), AlignedDepth(Unsure()))
    (_, own), *_ = moves(world, as_photo(shapes()))
    assert own.share == 1
    columns = world.memory.surfels.position[:, 1]
    assert columns.min() < -1.05
    assert columns.max() > 1.05


class TestTorn:
    camera = Camera.from_fov(120, 90, 75)

    def ramp(self, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return depth that goes from 1.5 to 4 m around column 60, and a picture whose colour changes there."""
        row = torch.full((120,), 4.0)
        row[:60] = 1.5
        soft = torch.nn.functional.avg_pool1d(row[None, None], width, stride=1, padding=width // 2)[0, 0]
        soft[:10], soft[-10:] = 1.5, 4.0
        image = torch.zeros(90, 120, 3, dtype=torch.uint8)
        image[:, 60:] = 200
        return soft.expand(90, 120), image

    @pytest.mark.parametrize("width", [3, 5])
    def test_a_ramp_becomes_two_surfaces_that_meet_where_the_colour_changes(self, width):
        depth, image = self.ramp(width)
        out, moved = torn(depth, image, self.camera)
        assert set(out.flatten().tolist()) == {1.5, 4.0}
        assert torch.equal(out[0] == 1.5, torch.arange(120) < 60)
        assert not moved[:, :50].any()
        assert not moved[:, 70:].any()

    def test_a_floor_that_goes_far_stays_as_it_is(self):
        T = look_at((0, 0, 0.4), (4, 0, 0.3))
        floor = box_view(self.camera, T).depth
        out, moved = torn(floor, torch.zeros(90, 120, 3, dtype=torch.uint8), self.camera)
        assert torch.equal(out[moved], out[moved])
        assert moved.float().mean() < 0.01
        assert torch.equal(out[~moved], floor[~moved])

    def test_nothing_is_made_of_nothing(self):
        depth = torch.full((90, 120), torch.nan)
        out, moved = torn(depth, torch.zeros(90, 120, 3, dtype=torch.uint8), self.camera)
        assert out.isnan().all()
        assert not moved.any()


class TestDoubt:
    def test_what_is_known_stays_and_what_is_not_goes_with_the_rest(self):
        y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 60), indexing="ij")
        plane = -(0.4 + 0.1 * x + 0.05 * y).log()
        bump = torch.zeros_like(plane)
        bump[15:20, 10:15], bump[15:20, 45:50] = -0.3, -0.3
        deviation = torch.full_like(plane, 0.02)
        deviation[:, :30] = 1.0
        out = calmed(plane + bump, deviation)
        assert (out - plane)[15:20, 10:15].abs().max() < 0.08
        assert (out - plane)[15:20, 45:50].mean() == pytest.approx(-0.3, abs=0.01)
        assert torch.allclose(out[25:], plane[25:], atol=0.03)


class TestSky:
    def test_it_is_found_down_to_the_horizon_and_not_on_the_house(self):
        sky = find_sky(torch.as_tensor(meadow()))
        assert sky[:30].all()
        assert not sky[52:].any()
        assert not sky[40:46, 80:104].any()

    def test_rooms_have_none(self):
        assert find_sky(room()) is None
        assert find_sky(torch.as_tensor(shapes())) is None

    @pytest.mark.parametrize("grey", [120, 180])
    def test_of_any_colour_where_it_is_known_to_be_open_air(self, grey):
        image = torch.as_tensor(meadow()).clone()
        image[:49, :60] = grey
        assert find_sky(image, outdoors=True)[:46, :58].all()

    def test_open_air_without_sky(self):
        assert not find_sky(torch.as_tensor(noise(60, 80)), outdoors=True).any()


class TestOutdoors:
    def test_ground_backdrop_and_sky(self):
        photo = as_photo(meadow())
        sky = find_sky(photo.image)
        depth = outdoor_depth(photo, sky, torch.zeros(photo.camera.size))
        assert (depth[sky] == SKY_M).all()
        # A level camera at eye height sees the ground at the lower border of its picture so far away.
        camera = photo.camera
        expected = EYE_HEIGHT_M * camera.fy / (camera.height - 0.5 - camera.cy)
        assert float(depth[-1].mean()) == pytest.approx(expected, rel=0.1)
        assert float(depth[50, ~sky[50]].mean()) == pytest.approx(FAR_M, rel=0.1)
        assert (depth.diff(dim=0)[50:] <= 0).all()

    def test_the_network_says_what_is_in_front(self):
        photo = as_photo(meadow())
        log_depth = torch.zeros(photo.camera.size)
        log_depth[60:, 20:40] = -0.4
        depth = outdoor_depth(photo, find_sky(photo.image), log_depth)
        assert torch.allclose(depth[60:, 30] / depth[60:, 100], torch.tensor(0.4).neg().exp(), rtol=0.01)

    def test_a_world_is_outdoors_if_it_is_said_or_looks_so(self):
        picture = as_photo(meadow())
        for scene, expected in {"auto": True, "outdoors": True, "indoors": False}.items():
            world = World(load_memory(), ReprojectionGenerator(), load_estimator("small", scene=scene))
            world.seed(picture)
            assert shows_sky(world.memory.views[0]) is expected

    def test_views_drawn_later_continue_what_is_remembered(self):
        """The network would put a wall two metres ahead into every hole."""
        world = World(load_memory(), ReprojectionGenerator(), load_estimator("small", scene="auto"))
        photo = as_photo(meadow())
        world.seed(photo)
        turned = look_at((0.0, 0.0, 0.0), (1.0, -0.35, 0.0))
        (frame,) = world.explore([Target(photo.camera, turned)], seed=0)
        ahead = frame.view.depth[:45]
        assert float(ahead[torch.isfinite(ahead)].min()) > 5

    def test_a_scene_that_there_is_not(self):
        with pytest.raises(Exception, match="scene must be one of indoors, outdoors, auto, got 'under water'"):
            load_estimator("small", scene="under water")


def test_a_second_photograph_is_told_what_the_first_one_showed(estimator):
    """Where memory shows something, it is no lone photograph any more."""
    world = World(load_memory(), ReprojectionGenerator(), estimator)
    photo = as_photo(room())
    world.seed(photo)
    world.observe(dataclasses.replace(photo, T_world_camera=look_at((0.0, 0.1, 0.0), (1.0, 0.1, 0.0))))
    first, second = (view.depth for view in world.memory.views)
    assert float((second / first).log().abs().median()) < 0.1
