"""Single rotations: the order of w, round trips, and that they are the same without transforms3d."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vmem_ros.messages import rotations


@pytest.fixture(params=["transforms3d", "scipy"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with transforms3d, and as it is where that is not installed."""
    if request.param == "scipy":
        monkeypatch.setitem(sys.modules, "transforms3d", None)
    else:
        pytest.importorskip("transforms3d")
    yield importlib.reload(rotations)
    monkeypatch.undo()
    importlib.reload(rotations)


def test_w_comes_last(module: ModuleType) -> None:
    """A quarter turn to the left takes x to y."""
    half = np.sqrt(0.5)
    R = module.matrix_from_xyzw([0.0, 0.0, half, half])
    np.testing.assert_allclose(R @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(module.xyzw_from_matrix(R), [0, 0, half, half], atol=1e-12)


def test_roll_pitch_yaw_turn_about_fixed_axes(module: ModuleType) -> None:
    """REP-103's optical frame is roll -90, pitch 0, yaw -90 degrees in its link: it looks along the link's x."""
    R = module.matrix_from_rpy(-np.pi / 2, 0.0, -np.pi / 2)
    np.testing.assert_allclose(R, [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_round_trip_and_scipy(module: ModuleType, seed: int) -> None:
    rotation = Rotation.random(random_state=seed)
    R = rotation.as_matrix()
    q = module.xyzw_from_matrix(R)
    assert q[3] >= 0
    np.testing.assert_allclose(q, rotation.as_quat(canonical=True), atol=1e-12)
    np.testing.assert_allclose(module.matrix_from_xyzw(q), R, atol=1e-12)
    np.testing.assert_allclose(module.matrix_from_xyzw(3 * q), R, atol=1e-12)
    roll, pitch, yaw = rotation.as_euler("xyz")
    np.testing.assert_allclose(module.matrix_from_rpy(roll, pitch, yaw), R, atol=1e-12)


def test_what_is_missing_is_named(module: ModuleType) -> None:
    there = sys.modules["transforms3d"] is not None
    assert (module.SOURCE == "transforms3d") == there
    assert there or "pip install transforms3d" in module.SOURCE
