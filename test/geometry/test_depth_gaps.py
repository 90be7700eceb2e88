"""Small gaps of measured depth are closed along surfaces, and never across edges."""

import numpy as np
import pytest

from planes import CAMERA, plane_depth
from vmem_ros.geometry.depth_gaps import close_gaps
from vmem_ros.geometry.depth_noise import SENSORS
from vmem_ros.geometry.one_surface import OneSurface

SURFACE = OneSurface(SENSORS["tof"], CAMERA.fx)
SLANTED = 1 / plane_depth((0.5, 0.3, 0.8)).numpy()


def with_gap(inverse: np.ndarray, *where: tuple[slice | int, ...]) -> np.ndarray:
    out = inverse.copy()
    for each in where:
        out[each] = np.nan
    return out


@pytest.mark.parametrize("gap", [np.s_[:, 30], np.s_[25:28, :], np.s_[20:23, 30:33], np.s_[0, 40], np.s_[59, 40]])
def test_a_gap_of_a_plane_is_closed_as_the_plane(gap) -> None:
    closed = close_gaps(with_gap(SLANTED, gap), SURFACE, widest=3)
    np.testing.assert_allclose(closed, SLANTED, rtol=1e-5)


def test_rings_that_cross_are_closed_where_they_cross() -> None:
    closed = close_gaps(with_gap(SLANTED, np.s_[30, :], np.s_[:, 40]), SURFACE, widest=3)
    np.testing.assert_allclose(closed, SLANTED, rtol=1e-5)


def test_known_pixels_stay_bit_by_bit() -> None:
    gappy = with_gap(SLANTED, np.s_[::3, 1::2])
    closed = close_gaps(gappy, SURFACE, widest=3)
    known = ~np.isnan(gappy)
    assert np.array_equal(closed[known], gappy[known])
    assert not np.isnan(closed[1:-1, 1:-1]).any()


@pytest.mark.parametrize("widest", [0, 1, 2, 5])
def test_what_is_wider_stays_open(widest: int) -> None:
    """A hole is as wide as asked for, or one pixel wider, in both directions."""
    size = max(widest, 1)
    fits, too_wide = np.s_[10 : 10 + size, 10 : 10 + size], np.s_[30 : 31 + size, 40 : 41 + size]
    closed = close_gaps(with_gap(SLANTED, fits, too_wide), SURFACE, widest=widest)
    assert np.isnan(closed[fits]).all() == (widest == 0)
    assert np.isnan(closed[too_wide]).all()


def test_a_gap_at_the_border_of_the_picture_has_no_second_end() -> None:
    closed = close_gaps(with_gap(SLANTED, np.s_[:, :2]), SURFACE, widest=3)
    assert np.isnan(closed[:, :2]).all()


def test_a_gap_between_two_surfaces_stays_open() -> None:
    step = np.full(CAMERA.size, 0.5, np.float32)
    step[:, 40:] = 1.0
    gappy = with_gap(step, np.s_[:, 39:41])
    assert np.isnan(close_gaps(gappy, SURFACE, widest=3)[:, 39:41]).all()


def test_an_edge_through_a_small_hole_keeps_it_open_though_the_column_agrees() -> None:
    step = np.full(CAMERA.size, 0.5, np.float32)
    step[:, 40:] = 1.0
    assert np.isnan(close_gaps(with_gap(step, np.s_[20, 40]), SURFACE, widest=3)[20, 40])


def test_nothing_is_closed_towards_the_sky_or_within_it() -> None:
    sky = SLANTED.copy()
    sky[:, 40:] = 0
    gappy = with_gap(sky, np.s_[20, 39:41], np.s_[30, 60], np.s_[40, 20])
    closed = close_gaps(gappy, SURFACE, widest=3)
    assert np.isnan(closed[20, 39:41]).all()
    assert np.isnan(closed[30, 60])
    assert (closed[:, 40:][~np.isnan(gappy[:, 40:])] == 0).all()
    assert closed[40, 20] == pytest.approx(SLANTED[40, 20], rel=1e-5)


def test_edges_stay_unknown() -> None:
    edges = np.zeros(CAMERA.size, bool)
    edges[20, 20] = True
    closed = close_gaps(with_gap(SLANTED, np.s_[20, 20], np.s_[20, 30]), SURFACE, widest=3, edges=edges)
    assert np.isnan(closed[20, 20])
    assert not np.isnan(closed[20, 30])


def test_noise_of_the_sensor_is_no_edge() -> None:
    """At 6 m a stereo camera is off by 11 cm: ends of one wall differ by more than a slant explains."""
    rng = np.random.default_rng(0)
    wall = np.full(CAMERA.size, 6.0, np.float32) + rng.normal(scale=0.108, size=CAMERA.size).astype(np.float32)
    gaps = np.zeros(CAMERA.size, bool)
    gaps[1:-1:3, 1:-1:3] = True
    share = {}
    for sensor in ("tof", "stereo"):
        closed = close_gaps(np.where(gaps, np.nan, 1 / wall), OneSurface(SENSORS[sensor], 600.0), widest=3)
        share[sensor] = (~np.isnan(closed))[gaps].mean()
    assert share["stereo"] > 0.95
    assert share["tof"] < 0.5


def test_all_unknown_stays_unknown() -> None:
    assert np.isnan(close_gaps(np.full(CAMERA.size, np.nan, np.float32), SURFACE, widest=3)).all()
