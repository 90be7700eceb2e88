"""Every other frame is observed, the others are asked for; a world that is asked stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recorded import walk
from vmem_ros.errors import InvalidImageError, RecordingError
from vmem_ros.evaluation.recorded_run import NEAREST, TSDF, RecordedRun, Split, drawn_by, volume_for
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.recordings import Recording, open_recording
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.world import default_world


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    write_posed_folder(tmp_path / "walk", iter(walk(5)))
    with open_recording(tmp_path / "walk") as opened:
        yield opened


def test_frames_take_turns() -> None:
    split = Split.of(7)
    assert (list(split.observed), list(split.asked)) == ([0, 2, 4, 6], [1, 3, 5])
    few = Split.of(100, views=5)
    assert (list(few.observed), list(few.asked)) == ([0, 20, 40, 60, 80], [10, 30, 50, 70, 90])
    assert list(Split.of(4, views=50).asked) == [1, 3]
    with pytest.raises(RecordingError, match="one frame"):
        Split.of(1)


def test_memory_and_the_nearest_frame_answer_what_was_not_shown(recording: Recording) -> None:
    world, engine = default_world(reuse_views=False), ReprojectionGenerator()
    run = RecordedRun(recording, Split.of(len(recording)), world, {"reprojection": engine, "again": engine})
    assert len(list(run.observe())) == len(world) == 3
    before = world.memory.state()[0]
    asked = list(run.ask())
    assert [frame.number for frame in asked] == [1, 3]
    assert [frame.name for frame in asked] == ["000001", "000003"]
    after = world.memory.state()[0]
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for frame in asked:
        assert list(frame.answers) == [drawn_by("reprojection"), drawn_by("again"), NEAREST]
        memory, again, nearest = frame.scores.values()
        assert memory == again
        assert memory.share > 0.8
        assert memory.whole["psnr_db"] > nearest.whole["psnr_db"] + 2
        assert memory.shown["depth_median_rel"] < 0.01
        assert torch.equal(frame.truth.image, recording[frame.number].view.image)
    assert [row["what"] for row in run.times.table("").rows] == [
        "memory: observe", "memory: show", "memory: draw by reprojection", "memory: draw by again",
    ]  # fmt: skip


def test_a_tsdf_sees_the_same_frames(recording: Recording) -> None:
    pytest.importorskip("open3d", reason="Open3D is not installed: pip install 'vmem_ros[peers]'")
    split = Split.of(len(recording))
    volume = volume_for(recording, split, voxel_m=0.02)
    engines = {"reprojection": ReprojectionGenerator()}
    run = RecordedRun(recording, split, default_world(), engines, volume)
    for _ in run.observe():
        pass
    for frame in run.ask():
        tsdf = frame.answers[TSDF]
        assert tsdf.shown is not None
        assert torch.equal(tsdf.whole[tsdf.shown.seen], tsdf.shown.image[tsdf.shown.seen])
        assert 0.7 < frame.scores[TSDF].share < 1
        assert frame.scores[TSDF].whole["psnr_db"] > frame.scores[NEAREST].whole["psnr_db"] + 2


def test_without_depth_there_is_no_tsdf(tmp_path: Path) -> None:
    write_posed_folder(tmp_path / "rgb", (replace(view, depth=None) for view in walk(3)))
    with (
        open_recording(tmp_path / "rgb") as recording,
        pytest.raises(InvalidImageError, match="no frame has any depth"),
    ):
        volume_for(recording, Split.of(3))
