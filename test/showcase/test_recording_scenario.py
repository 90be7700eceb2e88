"""A recording as a scenario: every other frame is the robot's, the others are asked for and known."""

from __future__ import annotations

import json
import re

import pytest
import torch

from bags import rgbd
from recorded import walk
from vmem_ros.cli.main import main
from vmem_ros.errors import RecordingError
from vmem_ros.recordings import open_recording
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.showcase.scenario import recording_scenario

VIEWS = walk(9)


@pytest.fixture
def folder(tmp_path):
    write_posed_folder(tmp_path / "walk", VIEWS)
    return tmp_path / "walk"


def times(targets) -> list[int]:
    return [next(i for i, view in enumerate(VIEWS) if view.stamp_ns == target.stamp_ns) for target in targets]


@pytest.mark.parametrize(
    ("views", "robot", "asked"),
    [
        (None, [0, 2, 4, 6, 8], [1, 3, 5, 7]),
        (4, [0, 4, 8], [2, 6]),
        (2, [0, 6], [3]),
        (100, [0, 2, 4, 6, 8], [1, 3, 5, 7]),
    ],
)
def test_frames_take_turns(folder, views, robot, asked) -> None:
    scenario = recording_scenario(open_recording(folder), views=views)
    requested = scenario.ask(3.0)
    assert times(scenario.robot) == robot
    assert times(requested.path) == asked
    assert requested.there_and_back == ()


def test_the_frames_are_what_is_seen(folder) -> None:
    scenario = recording_scenario(open_recording(folder), views=None)
    assert (scenario.title, scenario.has_depth, scenario.exact) == ("Recording walk", True, False)
    seen, truth = scenario.observe(scenario.robot[1]), scenario.truth(scenario.ask(3.0).path[2])
    assert torch.equal(seen.image, VIEWS[2].image)
    assert torch.equal(truth.image, VIEWS[5].image)
    blind = recording_scenario(open_recording(folder), views=None, has_depth=False)
    assert blind.observe(blind.robot[1]).depth is None


def test_one_frame_is_not_enough(folder) -> None:
    with pytest.raises(RecordingError, match="walk has one frame"):
        recording_scenario(open_recording(folder, frames=slice(1)), views=None)


def explore(*options) -> int:
    return main(["explore", *map(str, options), "--engine", "reprojection", "--width", "60"])


def test_a_recording_is_explored(folder, tmp_path, capsys) -> None:
    (folder / "meta.json").unlink()
    assert explore("--recording", folder, "--frames", "0:7", "--out", tmp_path / "out") == 0
    assert "Recording walk: up is +z: so the cameras are held" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["scene"] == "walk"
    assert report["settings"]["notes"] == "up is +z: so the cameras are held"
    assert report["tables"]["Time"][0]["views"] == 3
    # The path is not closed and has no way back.
    assert "Consistency with itself" not in report["tables"]
    methods = {row["method"]: row for row in report["tables"]["Against the truth"]}
    assert methods["reprojection"]["PSNR dB"] > methods["copy the nearest view"]["PSNR dB"] + 2
    assert methods["reprojection"]["unseen PSNR dB"] is None


def test_a_bag_is_explored_with_options_of_its_layout(tmp_path, capsys) -> None:
    bag = rgbd(VIEWS)
    for view in VIEWS:
        bag.color(view, topic="/rear/image")
    folder = bag.write(tmp_path / "bag")
    assert explore("--recording", folder, "--out", tmp_path / "out") == 1
    assert "RecordingError: the bag has several cameras: give image_topic" in capsys.readouterr().err
    chosen = ("--recording-option", "image_topic=/camera/color/image_raw", "--up=+z", "--max-depth", "3.5")
    assert explore("--recording", folder, *chosen, "--views", "3", "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["tables"]["Time"][0]["views"] == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--fov", "60"), "--fov is that of a photo or in a house"),
        (("--depth", "depth.png"), "--depth is that of a photo"),
        (("--frames", "backwards"), "write start:stop:step"),
        (("--layout", "tum"), "cannot read .*rgb.txt"),
        (("--recording-option", "topic"), "write NAME=VALUE"),
    ],
)
def test_options_that_cannot_be(folder, tmp_path, capsys, options, text) -> None:
    assert explore("--recording", folder, *options, "--out", tmp_path / "out") == 1
    assert re.search(text, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
