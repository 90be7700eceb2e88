"""Drives, rules and their comparison in a real house, with an engine that needs no network."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vmem_ros.geometry import Camera
from vmem_ros.planning import rules
from vmem_ros.planning.compare import explore, maps, seen_areas, write_comparison
from vmem_ros.planning.drives import LENGTH_M, VIEWS, Place, drive, look_around, straight, to_frontiers
from vmem_ros.planning.explorer import Explorer
from vmem_ros.pointmaps import MemoryDepth, load_estimator
from vmem_ros.pointmaps.options import MemoryDepthOptions
from vmem_ros.scenes import House
from vmem_ros.scenes.trajectories import CLEARANCE_M
from vmem_ros.world import default_world

CAMERA = Camera.from_fov(32, 24, 80)
HOUSE = House(1_000_001)


def begun() -> Explorer:
    world = default_world(estimator=MemoryDepth(MemoryDepthOptions(prior="room")))
    return Explorer(HOUSE, world, CAMERA, seed=0)


def headings(poses: torch.Tensor) -> np.ndarray:
    return np.arctan2(poses[:, 1, 2].numpy(), poses[:, 0, 2].numpy())


def test_a_drive_turns_the_short_way_and_ends_in_reach() -> None:
    place = Place(np.array([1.0, 1.0]), 3.0)
    made = drive(place, np.array([[1.0, 1.0], [9.0, 1.0]]), -3.0)
    assert made.poses.shape == (VIEWS, 4, 4)
    np.testing.assert_allclose(made.poses[:, 0, 3], 1 + LENGTH_M * np.arange(1, 5) / 4)
    assert np.abs(np.diff(np.unwrap(headings(made.poses)))).max() < 0.1
    np.testing.assert_allclose(made.end.at, [1 + LENGTH_M, 1.0])
    around = look_around(place)
    assert torch.equal(around.poses[:, :3, 3], around.poses[:1, :3, 3].expand(VIEWS, 3))
    assert around.end.heading == pytest.approx(3.0 + 1.5 * math.pi)


def test_drives_keep_clear() -> None:
    explorer = begun()
    drives = [straight(explorer.free, explorer.place, angle) for angle in np.arange(0, 6.28, 0.5)]
    drives += to_frontiers(explorer.free, explorer.seen, explorer.place, 3)
    for each in drives:
        assert (explorer.free.at(each.poses[:, :2, 3].numpy()) >= CLEARANCE_M - 0.08).all()


@pytest.mark.parametrize("name", rules.RULES)
def test_every_rule_sees_more_and_more(name: str) -> None:
    found = explore(begun, 2, {name: rules.RULES[name]})[name]
    assert len(found.areas_m2) == len(found.poses) == len(found.world) == 1 + 2 * VIEWS
    assert found.areas_m2 == sorted(found.areas_m2)
    assert found.areas_m2[-1] > found.areas_m2[0]
    again = explore(begun, 2, {name: rules.RULES[name]})[name]
    assert again.areas_m2 == found.areas_m2


def test_imagining_leaves_the_robots_world_as_it_is() -> None:
    explorer = begun()
    before = {name: tensor.clone() for name, tensor in explorer.world.memory.state()[0].items()}
    rules.most_imagined(explorer)
    after = explorer.world.memory.state()[0]
    assert all(torch.equal(after[name].nan_to_num(), tensor.nan_to_num()) for name, tensor in before.items())


def test_of_two_ways_the_one_with_more_to_see_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = Explorer(HOUSE, default_world(estimator=load_estimator("small")), CAMERA, seed=0)
    here = np.stack([explorer.place.at] * 2)
    known, turn = (drive(explorer.place, here, explorer.place.heading + angle) for angle in (0.0, 1.5))
    monkeypatch.setattr(rules, "candidates", lambda _: [known, turn])
    assert rules.most_imagined(explorer) is turn
    assert rules.least_remembered(explorer) is turn


def test_report(tmp_path: Path) -> None:
    found = explore(begun, 1, {name: rules.RULES[name] for name in ("nearest frontier", "random walk")})
    write_comparison(tmp_path, [seen_areas(found)] * 2, {"house": maps(found)}, {"houses": 2})
    rows = json.loads((tmp_path / "report.json").read_text())["tables"]["Surface seen"]
    assert [row["rule"] for row in rows] == ["nearest frontier", "random walk"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("area.png", "routes.png"))
