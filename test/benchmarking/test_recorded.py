"""``vmem bench recorded``: memory beside a TSDF, step by step and pass by pass. No figure of a machine is judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from peers import HAS_OPEN3D, needs_open3d
from recorded import walk
from vmem_ros.cli import main
from vmem_ros.recordings.posed_folder_writer import write_posed_folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    write_posed_folder(tmp_path / "walk", iter(walk(7)))
    return tmp_path / "walk"


def benchmark_of(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))["benchmarks"]["recorded"]


def test_every_step_but_the_first_is_timed_and_passes_are_told_apart(recording: Path, tmp_path: Path) -> None:
    file, plots = tmp_path / "bench.json", tmp_path / "plots"
    options = ["--repeat", "3", "--width", "48", "--json", str(file), "--plots", str(plots)]
    assert main(["bench", "recorded", str(recording), *options]) == 0
    outcome = benchmark_of(file)
    beside, passes = (table["rows"] for table in outcome["tables"])
    # Three of seven frames are asked for, three times, and the first time warms up.
    assert [row["memory"]["repeats"] for row in beside] == [8, 8]
    assert [row["pass"] for row in passes] == [1, 2, 3]
    assert [row["views"] for row in passes] == [3, 6, 9]
    names = ("observe", "glimpse", *(("integrate", "cast rays") if HAS_OPEN3D else ()))
    assert [[row[name]["repeats"] for row in passes] for name in names] == [[2, 3, 3]] * len(names)
    growth = {budget["what"]: budget["measured"] for budget in outcome["budgets"]}
    expected = passes[2]["glimpse"]["median_ms"] / passes[1]["glimpse"]["median_ms"]
    assert growth["growth of glimpse from 6 to 9 views"] == pytest.approx(expected)
    with Image.open(plots / "recorded.png") as picture:
        assert min(picture.size) > 300


@needs_open3d
def test_ratios_are_those_of_the_medians(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "recorded", str(recording), "--voxel", "0.03", "--width", "48", "--json", str(file)]) == 0
    outcome = benchmark_of(file)
    ((taken, shown),) = (table["rows"] for table in outcome["tables"])
    for row in (taken, shown):
        assert row["memory / TSDF"] == pytest.approx(row["memory"]["median_ms"] / row["TSDF"]["median_ms"])
    assert [budget["limit"] for budget in outcome["budgets"]] == [0.5, 1.0]
    assert outcome["budgets"][0]["measured"] == shown["memory / TSDF"]
    assert "voxels of 30 mm" in outcome["tables"][0]["note"]


def test_without_open3d_memory_is_alone_and_the_note_says_why(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    file = tmp_path / "bench.json"
    assert main(["bench", "recorded", str(recording), "--quick", "--width", "48", "--json", str(file)]) == 0
    (table,) = benchmark_of(file)["tables"]
    assert [row["TSDF"] for row in table["rows"]] == ["-", "-"]
    assert "pip install 'vmem_ros[peers]'" in table["note"]
