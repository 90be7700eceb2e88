"""The names of 7-Scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recorded import CAMERA, intrinsics_of, truncate, walk, write_seven_scenes
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera
from vmem_ros.recordings import open_recording


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_seven_scenes(tmp_path / "seq-01", walk())


def test_all_of_it(folder: Path) -> None:
    recording = open_recording(folder, intrinsics=intrinsics_of(CAMERA))
    assert (recording.layout, len(recording)) == ("seven_scenes", 5)
    for frame, view in zip(recording.frames(), walk(), strict=True):
        torch.testing.assert_close(frame.view.camera.K, CAMERA.K, rtol=0, atol=1e-9)
        assert torch.equal(frame.view.image, view.image)
        assert frame.view.depth[:2].isnan().all()
        torch.testing.assert_close(frame.view.depth[2:], view.depth[2:], rtol=0, atol=0.51e-3)
        torch.testing.assert_close(frame.view.T_world_camera, view.T_world_camera, rtol=0, atol=1e-6)
    assert [frame.name for frame in recording.frames()] == [f"frame-{i:06d}" for i in range(5)]


def test_its_own_camera(tmp_path: Path) -> None:
    folder = write_seven_scenes(tmp_path / "seq-01", walk(2, camera=Camera.from_fov(640, 480, 57)))
    recording = open_recording(folder)
    assert recording.targets[0].camera.K.tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    assert recording.notes[0] == "intrinsics are those of 7-Scenes: focal length 585 pixels, centre of the picture"


@pytest.mark.parametrize("part", ["frame-000001.color.png", "frame-000001.depth.png"])
def test_a_truncated_file_is_named(folder: Path, part: str) -> None:
    truncate(folder / part)
    with pytest.raises(RecordingError, match=f"cannot read .*{part}"):
        open_recording(folder, intrinsics=intrinsics_of(CAMERA))[1]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda f: (f / "frame-000001.depth.png").unlink(), "frame-000001.depth.png is missing"),
        (lambda f: (f / "frame-000001.pose.txt").unlink(), "cannot read the pose .*frame-000001.pose.txt"),
        (lambda f: truncate(f / "frame-000001.pose.txt"), "frame-000001.pose.txt"),
        (
            lambda f: Image.fromarray(np.zeros((8, 8), np.uint16)).save(f / "frame-000001.depth.png"),
            "frame-000001.depth.png is 8 x 8, but its picture is 96 x 64",
        ),
    ],
)
def test_what_is_missing_or_inconsistent_is_named(folder: Path, spoil, text: str) -> None:
    spoil(folder)
    with pytest.raises(RecordingError, match=text):
        open_recording(folder, intrinsics=intrinsics_of(CAMERA))[1]


def test_another_camera_says_what_it_is(folder: Path) -> None:
    with pytest.raises(
        RecordingError, match=r"96 x 64, and 7-Scenes is 640 x 480: give intrinsics='\[fx, fy, cx, cy\]'"
    ):
        open_recording(folder)


def test_lost_tracking(folder: Path) -> None:
    np.savetxt(folder / "frame-000004.pose.txt", np.full((4, 4), np.inf))
    with pytest.raises(RecordingError, match="frame frame-000004 has no pose"):
        open_recording(folder, intrinsics=intrinsics_of(CAMERA))
    assert len(open_recording(folder, intrinsics=intrinsics_of(CAMERA), gaps="skip")) == 4
