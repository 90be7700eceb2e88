"""Folders of posed images: what is written comes back, and what is missing, damaged or inconsistent is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recorded import CAMERA, truncate, walk
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera
from vmem_ros.recordings import open_recording
from vmem_ros.recordings.posed_folder_writer import write_posed_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_posed_folder(tmp_path / "walk", walk())
    return tmp_path / "walk"


def test_what_is_written_comes_back(folder: Path) -> None:
    recording = open_recording(folder)
    assert (recording.layout, recording.title, len(recording), recording.notes) == ("posed_folder", "walk", 5, ())
    for frame, target, view in zip(recording.frames(), recording.targets, walk(), strict=True):
        assert frame.view.camera.size == CAMERA.size
        torch.testing.assert_close(frame.view.camera.K, CAMERA.K, rtol=0, atol=1e-9)
        assert torch.equal(frame.view.image, view.image)
        torch.testing.assert_close(frame.view.depth, view.depth, rtol=0, atol=0.51e-3)
        torch.testing.assert_close(frame.view.T_world_camera, view.T_world_camera, rtol=0, atol=1e-9)
        assert torch.equal(frame.view.T_world_camera, target.T_world_camera)
        assert (frame.view.stamp_ns, frame.view.source) == (view.stamp_ns, "observed")
        assert frame.mask is None


def test_of_unknown_depth_nothing_is_made_up(tmp_path: Path) -> None:
    (view,) = walk(1)
    depth = view.depth.clone()
    depth[0, :4] = torch.tensor([torch.nan, torch.inf, 70.0, 65.0])
    write_posed_folder(tmp_path / "walk", [type(view)(view.image, CAMERA, view.T_world_camera, depth)])
    found = open_recording(tmp_path / "walk")[0].view.depth[0, :4]
    assert found.isnan().tolist() == [True, True, True, False]


def test_without_depth_stamps_and_meta(tmp_path: Path) -> None:
    views = [type(v)(v.image, CAMERA, v.T_world_camera) for v in walk(2)]
    write_posed_folder(tmp_path / "walk", views, jpeg_quality=95)
    for name in ("meta.json", "stamps.txt"):
        (tmp_path / "walk" / name).unlink()
    frame = open_recording(tmp_path / "walk")[1]
    assert frame.view.depth is None
    assert frame.view.stamp_ns == 0
    found, own, other = (each.float().mean(dim=-1) for each in (frame.view.image, views[1].image, views[0].image))
    assert (found - own).abs().mean() < (found - other).abs().mean() / 2


def test_names_that_are_numbers_are_in_their_order(folder: Path) -> None:
    for part, suffix in (("color", "png"), ("depth", "png"), ("poses", "txt")):
        (folder / part / f"000001.{suffix}").rename(folder / part / f"10.{suffix}")
    (folder / "stamps.txt").unlink()
    assert [frame.name for frame in open_recording(folder).frames()] == ["000000", "000002", "000003", "000004", "10"]


def test_units_of_depth_and_axes_of_its_world(folder: Path) -> None:
    (folder / "meta.json").write_text(json.dumps({"depth_scale_m": 0.002, "up": "-y"}))
    recording = open_recording(folder)
    torch.testing.assert_close(recording[0].view.depth, 2 * walk(1)[0].depth, rtol=0, atol=2e-3)
    assert recording.up == "-y"


def test_coarser_depth_of_the_same_view(folder: Path) -> None:
    file = folder / "depth" / "000000.png"
    Image.fromarray(np.array(Image.open(file))[::2, ::2]).save(file)
    found = open_recording(folder)[0].view.depth
    assert (found - walk(1)[0].depth).abs().median() < 0.03


@pytest.mark.parametrize("part", ["color/000002.png", "depth/000002.png"])
def test_a_truncated_file_is_named_and_the_others_are_read(folder: Path, part: str) -> None:
    truncate(folder / part)
    recording = open_recording(folder)
    with pytest.raises(RecordingError, match=f"cannot read .*{part}"):
        recording[2]
    assert recording[3].name == "000003"


def _without_color(folder: Path) -> None:
    for file in (folder / "color").iterdir():
        file.unlink()


def _other_size(folder: Path) -> None:
    Image.fromarray(np.zeros((48, 96, 3), np.uint8)).save(folder / "color" / "000001.png")


def _other_depth(folder: Path) -> None:
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(folder / "depth" / "000001.png")


def _color_as_depth(folder: Path) -> None:
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / "depth" / "000001.png")


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (_without_color, "color holds no pictures"),
        (lambda f: (f / "depth/000001.png").unlink(), r"000001.png has no depth: .*depth/000001.png is missing"),
        (lambda f: (f / "poses/000001.txt").unlink(), "cannot read the pose .*poses/000001.txt"),
        (lambda f: (f / "poses/000001.txt").write_text("1 0 0\n0 1 0\n"), r"shape \[2, 3\]: a pose is a 4 x 4 matrix"),
        (lambda f: (f / "poses/000001.txt").write_text("1 a 0\n"), "cannot read the pose"),
        (lambda f: np.savetxt(f / "poses/000001.txt", 2 * np.eye(4)), "000001.txt: .*last row"),
        (lambda f: (f / "intrinsics.txt").unlink(), "cannot read the intrinsics .*intrinsics.txt"),
        (lambda f: (f / "intrinsics.txt").write_text("1 2 3\n"), r"shape \[3\]: write a 3 x 3 matrix, or one row"),
        (lambda f: (f / "intrinsics.txt").write_text("0 0 48 32\n"), "uncalibrated camera"),
        (lambda f: (f / "meta.json").write_text("{"), "cannot read .*meta.json"),
        (lambda f: (f / "meta.json").write_text('{"depth_scale_m": 0}'), "depth_scale_m is metres a unit"),
        (lambda f: (f / "meta.json").write_text('{"up": "z"}'), r"up = 'z' is no axis: use \+x, -x, \+y, -y, \+z, -z"),
        (lambda f: (f / "stamps.txt").write_text("000000 5\n"), "stamps.txt has no time of 000001"),
        (lambda f: (f / "stamps.txt").write_text("000000 now\n"), "cannot read .*stamps.txt"),
        (_other_size, "000001.png is 96 x 48, but the intrinsics are for 96 x 64"),
        (_other_depth, "000001.png is 64 x 64, but its picture is 96 x 64: depth must be registered"),
        (_color_as_depth, r"000001.png is uint8 \[64, 96\]: depth is one channel of 16 bits"),
    ],
)
def test_what_is_missing_or_inconsistent_is_named(folder: Path, spoil, text: str) -> None:
    spoil(folder)
    with pytest.raises(RecordingError, match=text):
        open_recording(folder)[1]


def test_lost_tracking_is_an_error_or_left_out_and_counted(folder: Path) -> None:
    for i in (1, 2):
        np.savetxt(folder / "poses" / f"00000{i}.txt", np.full((4, 4), np.nan))
    with pytest.raises(RecordingError, match="frame 000001 has no pose: its numbers are not finite; gaps=skip"):
        open_recording(folder)
    recording = open_recording(folder, gaps="skip")
    assert [frame.name for frame in recording.frames()] == ["000000", "000003", "000004"]
    assert recording.notes == ("left out 2 of 5 frames without a pose: 000001 to 000002 (its numbers are not finite)",)


def test_rotations_written_with_few_digits_are_rotations_again(folder: Path) -> None:
    file = folder / "poses" / "000001.txt"
    np.savetxt(file, np.loadtxt(file), fmt="%.3f")
    R = open_recording(folder)[1].view.T_world_camera[:3, :3]
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=R.dtype), rtol=0, atol=1e-12)


def test_views_that_differ_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="at least one view"):
        write_posed_folder(tmp_path / "walk", [])
    with pytest.raises(RecordingError, match="view 1 has another camera"):
        write_posed_folder(tmp_path / "walk", [*walk(1), *walk(1, camera=Camera.from_fov(96, 64, 60))])
    assert not (tmp_path / "walk").exists()
