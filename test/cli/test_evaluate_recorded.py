"""``vmem evaluate recorded``: what it writes, what it takes, what it refuses, what Ctrl-C leaves."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import vmem_ros.evaluation.recorded_run
from peers import HAS_OPEN3D
from recorded import walk
from repository import ROOT
from vmem_ros.cli import main
from vmem_ros.evaluation.recorded_report import FIGURES, FRAMES, MARKS, SHORT_MARKS
from vmem_ros.evaluation.recorded_run import NEAREST, TSDF, drawn_by
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.reporting.sections import marks_in

# An engine of one's own: every picture is gray.
_OWN = """
from vmem_ros.generation import ReprojectionGenerator

class Gray(ReprojectionGenerator):
    def __init__(self, device, level=0):
        super().__init__()
        self.level = level

    def generate(self, recall, targets, **options):
        views = super().generate(recall, targets, **options)
        for view in views:
            view.image[:] = self.level
        return views
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_posed_folder(tmp_path / "walk", iter(walk(5)))
    return tmp_path / "walk"


def figures_of(out: Path) -> dict:
    return json.loads((out / FIGURES).read_text(encoding="utf-8"))


def test_it_leaves_tables_figures_pictures_and_pages(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (tmp_path / "gray_engine.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    page, readme, out = tmp_path / "recorded.md", tmp_path / "README.md", tmp_path / "out"
    page.write_text(f"Before.\n\n{MARKS[0]}\nlast time\n{MARKS[1]}\n\nAfter.\n")
    readme.write_text(f"Short.\n{SHORT_MARKS[0]}\nlast time\n{SHORT_MARKS[1]}\n")
    own = "gray_engine:Gray"
    options = ["--frames", "0:5", "--width", "48", "--engine", own, "--engine-option", "level=128"]
    pages = ["--markdown", str(page), "--markdown", str(readme)]
    assert main(["evaluate", "recorded", str(recording), *options, "--out", str(out), *pages]) == 0
    printed = capsys.readouterr().out
    figures = figures_of(out)
    methods = [drawn_by("reprojection"), drawn_by(own), *([TSDF] if HAS_OPEN3D else []), NEAREST]
    assert list(figures["recordings"]["walk"]["means"]) == methods
    assert [frame["frame"] for frame in figures["recordings"]["walk"]["frames"]] == ["000001", "000003"]
    means = figures["recordings"]["walk"]["means"]
    assert means[drawn_by("reprojection")]["share"] == means[drawn_by(own)]["share"] > 0.8
    # What memory shows is laid over what is drawn.
    whole = [means[drawn_by(engine)]["whole_psnr_db"] for engine in ("reprojection", own)]
    assert means[NEAREST]["whole_psnr_db"] < whole[1] <= whole[0]
    with (out / FRAMES).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["method"]) for row in rows] == [(f, m) for f in ("000001", "000003") for m in methods]
    of_frames = [float(row["whole_psnr_db"]) for row in rows if row["method"] == NEAREST]
    assert means[NEAREST]["whole_psnr_db"] == pytest.approx(sum(of_frames) / 2, abs=1e-4)
    text = page.read_text()
    assert text.startswith("Before.")
    assert text.endswith("After.\n")
    assert "last time" not in text
    assert "- walk: frames: 0:5, 3 observed, 2 asked for" in text
    pictures = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert pictures == ["out/walk.jpg", "out/walk_psnr.png"]
    with Image.open(tmp_path / pictures[0]) as sheet:
        # Two frames side by side, at twice their size, and a row for everything that there is to see.
        assert sheet.width > 2 * 96
        assert sheet.height > (5 + HAS_OPEN3D) * 64
    short = readme.read_text()
    assert "![" not in short
    assert "## " not in short
    row = f"| {NEAREST} | - | {means[NEAREST]['shown_psnr_db']:.1f} |"
    assert row in short
    assert row in printed


def test_several_recordings_stand_side_by_side(recording: Path, tmp_path: Path) -> None:
    write_posed_folder(tmp_path / "other" / "walk", iter(walk(4)))
    out = tmp_path / "out"
    paths = [str(recording), str(tmp_path / "other" / "walk")]
    options = ["--engine", "reprojection", "--no-tsdf", "--width", "48", "--views", "1"]
    assert main(["evaluate", "recorded", *paths, *options, "--out", str(out)]) == 0
    recordings = figures_of(out)["recordings"]
    assert list(recordings) == ["walk", "walk_2"]
    assert all(len(each["frames"]) == 1 for each in recordings.values())
    report = (out / "report.md").read_text()
    assert "## All recordings" in report
    assert "| TSDF, holes inpainted (left out) | - |" in report
    assert {path.name for path in out.iterdir()} >= {"walk.jpg", "walk_2.jpg", "walk_psnr.png", "walk_2_psnr.png"}


def test_without_open3d_the_row_says_why(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    command = ["evaluate", "recorded", str(recording), "--engine", "reprojection", "--width", "48"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| TSDF"))
    assert "pip install 'vmem_ros[peers]'" in row
    assert row.endswith("| - | - | - | - | - | - | - | - | - |")


@pytest.mark.slow
def test_depth_that_no_sensor_measured_is_estimated(tmp_path: Path, capsys) -> None:
    write_posed_folder(tmp_path / "rgb", (replace(view, depth=None) for view in walk(3)))
    command = ["evaluate", "recorded", str(tmp_path / "rgb"), "--engine", "reprojection"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    recording = figures_of(tmp_path / "out")["recordings"]["rgb"]
    assert recording["settings"]["depth of what the camera took"] == "estimated"
    assert recording["means"][drawn_by("reprojection")]["share"] > 0.3
    assert recording["means"][drawn_by("reprojection")]["shown_depth_median_rel"] is None
    assert f"{TSDF} (no frame has any depth: a TSDF needs that of a sensor)" in capsys.readouterr().out


def test_ctrl_c_keeps_what_was_measured(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    scored = vmem_ros.evaluation.recorded_run.score_frame
    calls = []

    def until_interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return scored(*arguments, **options)

    monkeypatch.setattr(vmem_ros.evaluation.recorded_run, "score_frame", until_interrupted)
    command = ["evaluate", "recorded", str(recording), "--engine", "reprojection", "--no-tsdf", "--width", "48"]
    assert main([*command, "--pictures", "1", "--out", str(tmp_path / "out")]) == 130
    assert len(figures_of(tmp_path / "out")["recordings"]["walk"]["frames"]) == 1
    assert (tmp_path / "out" / "walk.jpg").exists()
    assert "1 others asked for" in (tmp_path / "out" / "report.md").read_text()
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--voxel", "0"), "--voxel must be positive, got 0"),
        (("--views", "0"), "--views must be at least 1, got 0"),
        (("--frames", "4:"), "one is observed and one asked for"),
        (("--frames", "5:"), "no frame is left"),
        (("--engine", "none"), "engine = 'none' is unknown"),
        (("--layout", "tum"), "rgb.txt"),
    ],
)
def test_what_cannot_be_is_refused(recording: Path, tmp_path: Path, capsys, option, message) -> None:
    command = ["evaluate", "recorded", str(recording), "--engine", "reprojection", "--out", str(tmp_path / "out")]
    assert main([*command, *option]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_page_without_marks_is_refused_before_anything_is_loaded(tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.md"
    page.write_text("Mine.\n")
    assert main(["evaluate", "recorded", str(tmp_path / "none"), "--markdown", str(page)]) == 1
    assert MARKS[0] in capsys.readouterr().err
    assert page.read_text() == "Mine.\n"


def test_options_of_houses_do_not_mix_with_recordings(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--engine", "reprojection", "recorded", str(tmp_path)])
    assert "unrecognized arguments: recorded" in capsys.readouterr().err


def test_the_pages_of_the_repository_have_marks() -> None:
    known = (MARKS, SHORT_MARKS)
    assert marks_in((ROOT / "docs" / "recorded.md").read_text(encoding="utf-8"), known, ROOT) == [MARKS]
    assert marks_in((ROOT / "docs" / "results.md").read_text(encoding="utf-8"), known, ROOT) == [SHORT_MARKS]
