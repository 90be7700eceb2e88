"""TUM's layout: association by time, interpolated poses, intrinsics that are never guessed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from recorded import CAMERA, PERIOD_NS, START_NS, intrinsics_of, truncate, walk, write_tum
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera, interpolate_poses
from vmem_ros.recordings import open_recording
from vmem_ros.recordings.tum import CAMERAS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tum(tmp_path / "desk", walk())


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_all_of_it(folder: Path) -> None:
    recording = open_recording(folder)
    assert (recording.layout, len(recording)) == ("tum", 5)
    for frame, view in zip(recording.frames(), walk(), strict=True):
        torch.testing.assert_close(frame.view.camera.K, CAMERA.K, rtol=0, atol=1e-9)
        assert torch.equal(frame.view.image, view.image)
        torch.testing.assert_close(frame.view.depth, view.depth, rtol=0, atol=0.11e-3)
        torch.testing.assert_close(frame.view.T_world_camera, view.T_world_camera, rtol=0, atol=1e-8)
        # Nanoseconds since 1970 survive.
        assert frame.view.stamp_ns == view.stamp_ns


def test_depth_whose_clock_is_late(tmp_path: Path) -> None:
    folder = write_tum(tmp_path / "desk", walk(), skew_ns=10_000_000)
    found = [frame.view.depth for frame in open_recording(folder).frames()]
    for depth, view in zip(found, walk(), strict=True):
        torch.testing.assert_close(depth, view.depth, rtol=0, atol=0.11e-3)
    with pytest.raises(RecordingError, match="no frame is left"):
        open_recording(folder, tolerance_s=0.005)


def test_frames_without_depth_are_left_out_and_counted(folder: Path) -> None:
    lines = (folder / "depth.txt").read_text().splitlines()
    (folder / "depth.txt").write_text("\n".join([*lines[:1], *lines[3:]]))
    recording = open_recording(folder)
    assert [frame.name for frame in recording.frames()] == ["0", "3", "4"]
    assert "left out 2 of 5 frames without depth within 0.02 s" in recording.notes


def test_without_any_depth(folder: Path) -> None:
    (folder / "depth.txt").unlink()
    assert [frame.view.depth for frame in open_recording(folder).frames()] == [None] * 5


def test_poses_are_interpolated(tmp_path: Path) -> None:
    views = walk()
    folder = write_tum(tmp_path / "desk", views)
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    (folder / "groundtruth.txt").write_text("\n".join([lines[1], lines[3], lines[5]]))
    found = open_recording(folder)[1].view.T_world_camera
    expected = interpolate_poses([views[0].T_world_camera, views[2].T_world_camera], [0, 2], [1])[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_a_gap_of_poses_is_named_with_time_and_frames(folder: Path) -> None:
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    (folder / "groundtruth.txt").write_text("\n".join([*lines[:2], lines[5]]))
    recording = open_recording(folder, max_gap_s=0.3)
    assert [frame.name for frame in recording.frames()] == ["0", "4"]
    start, end = START_NS / 1e9, (START_NS + 4 * PERIOD_NS) / 1e9
    text = f"world -> camera is not known from {start:.3f} s to {end:.3f} s"
    assert f"left out 3 of 5 frames without a pose: 1 to 3 (the transform {text})" in recording.notes
    with pytest.raises(RecordingError, match=f"frame 1 has no pose: the transform {text}; gaps=skip"):
        open_recording(folder, max_gap_s=0.3, gaps="error")


def test_frames_before_the_first_pose(folder: Path) -> None:
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    (folder / "groundtruth.txt").write_text("\n".join(lines[2:]))
    recording = open_recording(folder)
    assert len(recording) == 4
    assert "0 (the transform world -> camera is asked for 0.100 s before the oldest one)" in recording.notes[0]


@pytest.mark.parametrize("given", ["numbers", "file"])
def test_intrinsics_are_numbers_or_a_file(folder: Path, given: str) -> None:
    (folder / "intrinsics.txt").rename(folder / "camera.txt")
    intrinsics = "camera.txt" if given == "file" else intrinsics_of(CAMERA)
    torch.testing.assert_close(open_recording(folder, intrinsics=intrinsics)[0].view.camera.K, CAMERA.K)


def test_intrinsics_are_never_guessed(folder: Path) -> None:
    (folder / "intrinsics.txt").unlink()
    with pytest.raises(RecordingError, match=r"says nothing of its camera: .*one of freiburg1, freiburg2"):
        open_recording(folder)
    with pytest.raises(RecordingError, match="freiburg1 is calibrated for 640 x 480, not 96 x 64"):
        open_recording(folder, intrinsics="freiburg1")


@pytest.mark.parametrize("name", CAMERAS)
def test_cameras_of_the_benchmark(tmp_path: Path, name: str) -> None:
    """The principal point gets half a pixel, and the lenses of the first two are rectified."""
    folder = write_tum(tmp_path / "desk", walk(2, camera=Camera.from_fov(640, 480, 62)))
    frame = open_recording(folder, intrinsics=name)[0]
    fx, fy, cx, cy, *distortion = CAMERAS[name]
    assert (frame.view.camera.fx, frame.view.camera.fy) == (fx, fy)
    assert (frame.view.camera.cx, frame.view.camera.cy) == (cx + 0.5, cy + 0.5)
    assert (frame.mask is not None) == bool(distortion)


def test_images_and_depth_of_a_lens_are_rectified(tmp_path: Path) -> None:
    """What a point looks like through the lens is found where the pinhole camera has it."""
    lens = [*intrinsics_of(CAMERA), -0.2, 0.05, 0.001, -0.001, 0.0]
    folder = write_tum(tmp_path / "desk", walk(1))
    K = np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]])
    point = np.array([[[0.35, -0.2, 1.0]]])
    seen = cv2.projectPoints(point, np.zeros(3), np.zeros(3), K, np.array(lens[4:]))[0].ravel().round().astype(int)
    image, depth = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint16)
    image[seen[1] - 1 : seen[1] + 2, seen[0] - 1 : seen[0] + 2] = 255
    depth[seen[1] - 1 : seen[1] + 2, seen[0] - 1 : seen[0] + 2] = 10000
    Image.fromarray(image).save(folder / "rgb" / "0.png")
    Image.fromarray(depth).save(folder / "depth" / "0.png")
    frame = open_recording(folder, intrinsics=lens)[0]
    expected = (K @ point.ravel())[:2]
    row, column = torch.nonzero(frame.view.image[..., 0] > 200).double().mean(dim=0).tolist()
    assert abs(column - expected[0]) < 0.8
    assert abs(row - expected[1]) < 0.8
    assert float(frame.view.depth[round(row), round(column)]) == pytest.approx(2.0)


@pytest.mark.parametrize("part", ["rgb/1.png", "depth/1.png"])
def test_a_truncated_file_is_named(folder: Path, part: str) -> None:
    truncate(folder / part)
    with pytest.raises(RecordingError, match=f"cannot read .*{part}"):
        open_recording(folder)[1]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: (f / "groundtruth.txt").unlink(), "cannot read .*groundtruth.txt"),
        (lambda f: (f / "groundtruth.txt").write_text("# nothing\n"), "groundtruth.txt holds no pose"),
        (lambda f: (f / "groundtruth.txt").write_text("1.0 0 0 0 0 0 0\n"), "write 'seconds tx ty tz qx qy qz qw'"),
        (lambda f: (f / "groundtruth.txt").write_text("1.0 0 0 0 0 0 0 2\n"), "norm 2, not 1"),
        (lambda f: (f / "groundtruth.txt").write_text("one 0 0 0 0 0 0 1\n"), "has the time 'one': write seconds"),
        (lambda f: truncate(f / "groundtruth.txt", 0.55), "groundtruth.txt has the row"),
        (lambda f: (f / "rgb.txt").write_text("1.0\n"), "rgb.txt has the row '1.0': write 'seconds file'"),
        (lambda f: (f / "rgb.txt").write_text("#\n"), "rgb.txt lists nothing"),
        (lambda f: change(f / "rgb.txt", "rgb/1.png", "rgb/7.png"), "cannot read .*rgb/7.png"),
        (lambda f: Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(f / "rgb/1.png"), "1.png is 8 x 8, but"),
    ],
)
def test_what_is_missing_or_inconsistent_is_named(folder: Path, spoil, text: str) -> None:
    spoil(folder)
    with pytest.raises(RecordingError, match=text):
        open_recording(folder)[1]


def test_a_factor_that_cannot_be(folder: Path) -> None:
    with pytest.raises(RecordingError, match="depth_factor must be positive, got 0"):
        open_recording(folder, depth_factor=0)
