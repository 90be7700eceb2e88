"""What all layouts share: which frames, which size, which way is up, and that only one frame is in memory."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest
import torch

from recorded import CAMERA, turned, walk
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import look_at
from vmem_ros.recordings import AXES, frames_from_text, open_recording
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.recordings.upright import rotation_to_z_up, up_of_cameras
from vmem_ros.types import View


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_posed_folder(tmp_path / "walk", walk())
    return tmp_path / "walk"


@pytest.mark.parametrize(
    ("text", "numbers"), [("::", [0, 1, 2, 3, 4]), ("1:4", [1, 2, 3]), ("::2", [0, 2, 4]), ("-2:", [3, 4])]
)
def test_slices(folder: Path, text: str, numbers: list[int]) -> None:
    recording = open_recording(folder, frames=frames_from_text(text))
    assert [int(frame.name) for frame in recording.frames()] == numbers
    assert int(recording[-1].name) == numbers[-1]
    with pytest.raises(IndexError):
        recording[len(numbers)]


@pytest.mark.parametrize("text", ["", "3", "a:b", "::-1", "::0", "1:2:3:4"])
def test_no_slices(text: str) -> None:
    with pytest.raises(RecordingError, match="write start:stop:step"):
        frames_from_text(text)


def test_a_slice_that_takes_nothing(folder: Path) -> None:
    with pytest.raises(RecordingError, match="walk has 5, and 7::2 takes none"):
        open_recording(folder, frames=slice(7, None, 2))


def test_smaller_pictures(folder: Path) -> None:
    full, small = open_recording(folder)[0], open_recording(folder, width=48)[0]
    assert small.view.camera == full.view.camera.resized(48, 32)
    assert tuple(small.view.image.shape) == (32, 48, 3)
    mean = full.view.image.float().view(32, 2, 48, 2, 3).mean(dim=(1, 3))
    assert (small.view.image.float() - mean).abs().max() <= 1
    # Depth is picked, not averaged.
    assert torch.isin(small.view.depth, full.view.depth).all()
    assert open_recording(folder, width=1000)[0].view.camera == full.view.camera


def test_far_depth_becomes_unknown(folder: Path) -> None:
    full, near = open_recording(folder)[0].view.depth, open_recording(folder, max_depth_m=3.2)[0].view.depth
    assert torch.equal(near.isnan(), full > 3.2)
    assert 0.1 < float(near.isnan().float().mean()) < 0.9


@pytest.mark.parametrize("option", [{"width": 0}, {"max_depth_m": 0.0}, {"up": "z"}, {"layout": "tiff"}, {"gap": "x"}])
def test_options_that_cannot_be(folder: Path, option: dict) -> None:
    with pytest.raises(RecordingError, match=r"width|max_depth_m|\+z|posed_folder|gaps"):
        open_recording(folder, **option)


@pytest.mark.parametrize("up", AXES)
def test_the_world_is_turned_until_z_is_up(tmp_path: Path, up: str) -> None:
    """Whether the user says which axis is up or the cameras do."""
    T = rotation_to_z_up(up)
    assert (T @ torch.tensor([*AXES[up], 0.0], dtype=T.dtype))[2] == 1
    views = walk()
    write_posed_folder(tmp_path / "walk", [View(v.image, CAMERA, turned(v, T), v.depth) for v in views])
    (tmp_path / "walk" / "meta.json").unlink()
    told, found = open_recording(tmp_path / "walk", up=up), open_recording(tmp_path / "walk")
    assert told.notes == ()
    assert found.up == up
    assert found.notes == (f"up is {up}: so the cameras are held",)
    for recording in (told, found):
        poses = torch.stack([target.T_world_camera for target in recording.targets])
        torch.testing.assert_close(poses, torch.stack([v.T_world_camera for v in views]), rtol=0, atol=1e-9)


def test_up_of_cameras_that_look_down_at_a_table_from_all_sides() -> None:
    angles = torch.linspace(0, 6, 20)
    poses = [look_at((0.4 * a.cos(), 0.4 * a.sin(), 1.2), (0.0, 0.0, 0.5)) for a in angles]
    assert up_of_cameras(poses) == "+z"
    # From one side alone, forward might be up as well.
    assert up_of_cameras([look_at((-1.0, 0.0, 1.0), (0.0, 0.0, 0.0))]) is None


def test_where_up_is_not_clear_z_is_taken_and_told(tmp_path: Path) -> None:
    (view,) = walk(1)
    pose = look_at((-1.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    write_posed_folder(tmp_path / "walk", [View(view.image, CAMERA, pose, view.depth)])
    (tmp_path / "walk" / "meta.json").unlink()
    recording = open_recording(tmp_path / "walk")
    assert recording.notes == (
        "which way is up is not clear from the cameras: it is taken to be +z unless you say it (up)",
    )
    torch.testing.assert_close(recording.targets[0].T_world_camera, pose)


def test_cameras_that_contradict_the_recording_are_told(folder: Path) -> None:
    (folder / "meta.json").write_text('{"up": "-z"}')
    assert open_recording(folder).notes == ("up is -z in such recordings, but the cameras are held as if it were +z",)


def test_nothing_is_kept_in_memory(tmp_path: Path) -> None:
    """Opening and going through a recording takes the memory of a frame or two, however many there are."""
    views = walk(3)
    write_posed_folder(tmp_path / "walk", (views[i % 3] for i in range(60)))
    gc.collect()
    tracemalloc.start()
    recording = open_recording(tmp_path / "walk")
    assert sum(frame.view.image.shape[0] for frame in recording.frames()) == 60 * 64
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frame_bytes = views[0].image.nbytes + views[0].depth.nbytes
    assert peak < 15 * frame_bytes


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(RecordingError, match=r"Looked for: color/ and poses/ \(posed_folder\); rgb.txt \(tum\);"):
        open_recording(tmp_path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(RecordingError, match="bag of ROS 1: make it one of ROS 2 with rosbags-convert"):
        open_recording(tmp_path / "old.bag")


def test_the_folder_above_recordings_names_them(folder: Path) -> None:
    with pytest.raises(RecordingError, match="within it, walk look like recordings"):
        open_recording(folder.parent)


def test_a_folder_of_two_layouts(folder: Path) -> None:
    (folder / "rgb.txt").write_text("0 color/000000.png\n")
    with pytest.raises(RecordingError, match="give layout, one of posed_folder, tum"):
        open_recording(folder)
    assert len(open_recording(folder, layout="posed_folder")) == 5


def test_a_layout_of_ones_own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_layout.py").write_text(
        "from vmem_ros.recordings.posed_folder import PosedFolderOptions, open_posed_folder\n\n"
        "def opened(path, on_step, backwards):\n"
        "    source = open_posed_folder(PosedFolderOptions(), path=path / 'walk')\n"
        "    source.layout, source.up = 'mine', '-z' if backwards else None\n"
        "    return source\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recording = open_recording(folder.parent, layout="my_layout:opened", backwards=True)
    assert (recording.layout, recording.up, len(recording)) == ("mine", "-z", 5)
    with pytest.raises(RecordingError, match="cannot be imported: No module named 'no_layout'"):
        open_recording(folder, layout="no_layout:opened")
