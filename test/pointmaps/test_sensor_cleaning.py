"""What becomes of the depth of a sensor, and how much it is to be trusted."""

import dataclasses

import pytest
import torch

from planes import CAMERA, plane_depth
from rooms import box_view, orbit
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.pointmaps import SensorDepth, SensorDepthOptions
from vmem_ros.pointmaps.sensor_cleaning import CLOSED, LEAST_CONFIDENCE, POSE_SIGMA_M, clean_depth
from vmem_ros.world import default_world

REAL = [sensor for sensor in SENSORS if sensor != "exact"]


def wall(distance: float) -> torch.Tensor:
    return torch.full(CAMERA.size, distance)


def confidence(sensor: str, depth: torch.Tensor) -> torch.Tensor:
    return clean_depth(depth, CAMERA, SensorDepthOptions(sensor=sensor))[1]


@pytest.mark.parametrize("changes", [{"sensor": "sonar"}, {"close_gaps_px": -1}, {"close_gaps_px": 17}])
def test_options_that_make_no_sense(changes) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        SensorDepthOptions(**changes)


class TestExactDepth:
    view = box_view(CAMERA, orbit(8)[0])

    def test_by_default_a_picture_without_unknown_pixels_stays_bit_by_bit(self) -> None:
        depth = self.view.depth.clone()
        depth[:5] = torch.inf
        depth[30, 30] = 0.5 * depth[30, 30]
        cleaned, trust = clean_depth(depth, CAMERA, SensorDepthOptions())
        assert torch.equal(cleaned, depth)
        assert (trust == 1).all()

    def test_told_so_it_stays_with_its_gaps(self) -> None:
        depth = self.view.depth.clone()
        depth[20, 20] = torch.nan
        cleaned, trust = clean_depth(depth, CAMERA, SensorDepthOptions(sensor="exact"))
        assert torch.equal(cleaned.nan_to_num(0), depth.nan_to_num(0))
        assert (trust == 1).all()

    def test_by_default_a_gap_says_that_it_was_measured(self) -> None:
        depth = self.view.depth.clone()
        depth[20, 20] = torch.nan
        cleaned, trust = clean_depth(depth, CAMERA, SensorDepthOptions())
        assert cleaned[20, 20] == pytest.approx(self.view.depth[20, 20].item(), rel=1e-4)
        assert trust[20, 20] < trust[20, 25] < 1


class TestConfidence:
    @pytest.mark.parametrize("sensor", REAL)
    def test_of_a_wall_it_is_the_share_of_an_inverse_variance(self, sensor: str) -> None:
        sigma = SENSORS[sensor].sigma(torch.tensor(2.0), torch.tensor(1.0))
        # In the middle of the picture the ray is upright on the wall.
        middle = confidence(sensor, wall(2.0))[30, 40].item()
        assert middle == pytest.approx(float(POSE_SIGMA_M**2 / (POSE_SIGMA_M**2 + sigma**2)), rel=0.02)

    @pytest.mark.parametrize("sensor", ["stereo", "structured_light", "tof"])
    def test_it_falls_with_depth_and_never_to_nothing(self, sensor: str) -> None:
        values = [confidence(sensor, wall(z))[30, 40].item() for z in (0.5, 1.0, 2.0, 4.0, 50.0)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.9
        assert values[-1] == LEAST_CONFIDENCE

    def test_it_falls_with_the_slant(self) -> None:
        upright, slanted = plane_depth((0.0, 0.0, 1.0)), plane_depth((0.0, 0.98, 0.2), distance=0.4)
        assert confidence("tof", slanted)[30, 40] < 0.8 * confidence("tof", upright)[30, 40]

    @pytest.mark.parametrize("sensor", REAL)
    def test_every_reading_counts(self, sensor: str) -> None:
        depth = wall(3.0)
        depth[:, 40:] = 6.0
        depth[10:20, 10:20] = torch.nan
        cleaned, trust = clean_depth(depth, CAMERA, SensorDepthOptions(sensor=sensor))
        assert (trust[cleaned.isfinite()] >= LEAST_CONFIDENCE).all()
        assert (confidence(sensor, depth) <= 1).all()

    def test_closed_pixels_count_less(self) -> None:
        gappy = wall(2.0)
        gappy[:, 40] = torch.nan
        depth, trust = clean_depth(gappy, CAMERA, SensorDepthOptions(sensor="tof"))
        assert torch.allclose(depth, wall(2.0))
        assert trust[30, 40] == pytest.approx(CLOSED * confidence("tof", wall(2.0))[30, 40].item(), rel=0.02)


def test_infinity_stays_and_is_no_surface() -> None:
    depth = wall(2.0)
    depth[:10], depth[9:12, 30] = torch.inf, torch.nan
    cleaned, _ = clean_depth(depth, CAMERA, SensorDepthOptions(sensor="tof"))
    assert torch.isposinf(cleaned[:9]).all()
    assert cleaned[9:12, 30].isnan().all()


def test_flying_pixels_go_and_are_not_closed_again() -> None:
    depth = wall(1.0)
    depth[:, 40:] = 3.0
    depth[30, 40] = 2.0
    cleaned, _ = clean_depth(depth, CAMERA, SensorDepthOptions(sensor="tof"))
    assert cleaned[30, 40].isnan()
    assert int(cleaned.isnan().sum()) == 1
    kept, _ = clean_depth(depth, CAMERA, SensorDepthOptions(sensor="tof", remove_flying=False))
    assert torch.equal(kept, depth)


def test_the_view_that_was_given_is_frozen() -> None:
    view = box_view(CAMERA, orbit(8)[0])
    depth = view.depth.clone()
    depth[::4, ::4] = torch.nan
    given = depth.clone()
    SensorDepth(SensorDepthOptions(sensor="tof")).estimate([dataclasses.replace(view, depth=given)])
    assert torch.equal(given.nan_to_num(-1), depth.nan_to_num(-1))


def test_the_world_remembers_closed_gaps_but_nothing_of_what_is_masked() -> None:
    view = box_view(CAMERA, orbit(8)[0])
    depth, mask = view.depth.clone(), torch.zeros(CAMERA.size, dtype=torch.bool)
    depth[::5] = torch.nan
    mask[10:21, 30:41] = True
    world = default_world(sensor=SensorDepthOptions(sensor="tof"))
    world.observe(dataclasses.replace(view, depth=depth), mask=mask)
    (stored,) = world.memory.views
    assert stored.depth[10:21, 30:41].isnan().all()
    assert stored.depth[5:55][~mask[5:55]].isfinite().float().mean() > 0.95
    as_it_is = default_world(sensor=SensorDepthOptions(sensor="exact"))
    as_it_is.observe(dataclasses.replace(view, depth=depth), mask=mask)
    assert as_it_is.memory.views[0].depth[::5].isnan().all()


def test_scan_lines_become_surfaces() -> None:
    """Rows alone have no slope: the picture of a lidar makes surfels only where its gaps are closed."""
    view = box_view(CAMERA, orbit(8)[0])
    depth = torch.full_like(view.depth, torch.nan)
    depth[::3] = view.depth[::3]
    surfels = {}
    for gaps in (0, 3):
        world = default_world(sensor=SensorDepthOptions(sensor="lidar", close_gaps_px=gaps))
        world.observe(dataclasses.replace(view, depth=depth))
        surfels[gaps] = len(world.memory.elements())
    assert surfels[0] == 0
    assert surfels[3] > 500


@pytest.mark.parametrize("flying", [True, False])
@pytest.mark.parametrize("gaps", [0, 1, 5])
@pytest.mark.parametrize("sensor", REAL)
def test_compiled_code_says_the_same(both, sensor: str, gaps: int, flying: bool) -> None:
    """Of a room with noise, mixed pixels, gaps of all widths, sky and a border that is not known."""
    g = torch.Generator().manual_seed(0)
    depth = box_view(CAMERA, orbit(8)[0]).depth.clone()
    depth[20:40, 30:50] *= 0.5
    depth[20:40, 49] *= 1.5
    depth += 0.01 * torch.randn(depth.shape, generator=g)
    depth[torch.rand(depth.shape, generator=g) < 0.15] = torch.nan
    depth[5:12, 10:25], depth[:, :2], depth[50:, 60:] = torch.nan, torch.nan, torch.inf
    options = SensorDepthOptions(sensor=sensor, close_gaps_px=gaps, remove_flying=flying)
    (one, trust), (other, other_trust) = both(lambda: clean_depth(depth, CAMERA, options))
    torch.testing.assert_close(one, other, rtol=1e-6, atol=0, equal_nan=True)
    torch.testing.assert_close(trust, other_trust, rtol=1e-4, atol=1e-5)
    assert torch.equal(trust > 0, one.isfinite())
