"""``vmem bench`` as a user types it. No figure of a machine is judged here."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from vmem_ros.benchmarking.report import BEGIN
from vmem_ros.cli import main
from waiting import wait_until

#: Benchmark: columns that are timed, and how often in a quick run.
TIMED = {
    "memory": {
        **dict.fromkeys(
            ("read 1", "read 4", "glimpse surfels", "glimpse pixels", "write new", "write known", "undo"), 2
        ),
        **{"save": 1, "load": 1},
    },
    "history": dict.fromkeys(("read", "write", "glimpse", "step"), 2),
    "quality": {"glimpse ms": 2},
    "preview": {"glimpse": 3},
}


@dataclass(frozen=True)
class QuickRun:
    """What a quick run of one benchmark left: rows of its tables, what it printed, its page and its plots."""

    tables: list[list[dict[str, Any]]]
    printed: str
    page: str
    plots: dict[str, Path]


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], QuickRun]:
    """Runs a benchmark in this process, once."""

    @cache
    def run(name: str) -> QuickRun:
        folder, printed = tmp_path_factory.mktemp(name), io.StringIO()
        file, page, plots = folder / "bench.json", folder / "bench.md", folder / "plots"
        command = ["bench", name, "--quick", "--threads", str(torch.get_num_threads())]
        command += ["--json", str(file), "--markdown", str(page), "--plots", str(plots)]
        with redirect_stdout(printed):
            assert main(command) == 0
        tables = json.loads(file.read_text(encoding="utf-8"))["benchmarks"][name]["tables"]
        return QuickRun(
            [table["rows"] for table in tables],
            printed.getvalue(),
            page.read_text(encoding="utf-8"),
            {path.name: path for path in plots.iterdir()},
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED)
def test_everything_is_timed_as_often_as_it_says(quick_run: Callable[[str], QuickRun], name: str) -> None:
    rows = quick_run(name).tables[0]
    timings = {column: {row[column]["repeats"] for row in rows if row[column]} for column in TIMED[name]}
    assert timings == {column: {repeats} for column, repeats in TIMED[name].items()}


def test_memory_is_measured_at_every_size(quick_run: Callable[[str], QuickRun]) -> None:
    (rows,) = quick_run("memory").tables
    small, large = (row["surfels"] for row in rows)
    assert 900 < small < 1_100
    assert 10_000 <= large < 12_000
    assert rows[0]["views"] < rows[1]["views"]
    assert rows[0]["index MB"] < rows[1]["index MB"]


def test_history_is_measured_at_every_number_of_views(quick_run: Callable[[str], QuickRun]) -> None:
    run = quick_run("history")
    *walks, growth = run.tables
    assert [[row["views"] for row in rows] for rows in walks] == [[2, 4], [2, 4]]
    assert [row["walk"] for row in growth] == ["new rooms", "same house"]
    for row, rows in zip(growth, walks, strict=True):
        first, last = (r["step"]["median_ms"] for r in rows)
        assert row["step"] == pytest.approx(last / first)
    with Image.open(run.plots["history.png"]) as picture:
        assert min(picture.size) > 300


def test_memory_shows_more_than_the_nearest_view(quick_run: Callable[[str], QuickRun]) -> None:
    (rows,) = quick_run("quality").tables
    *memory, nearest = rows
    assert nearest["pixels from"] == "copy of nearest view"
    assert {row["pixels from"] for row in memory} == {"surfels", "pixels"}
    assert all(row["generated PSNR"] > nearest["generated PSNR"] + 1 for row in memory)
    assert all(0.2 < row["seen"] < 1 for row in memory)
    assert all(row["depth %"] < 10 for row in memory)


def test_previews_a_second_are_those_of_the_median(quick_run: Callable[[str], QuickRun]) -> None:
    (rows,) = quick_run("preview").tables
    assert [(row["size"], row["pixels from"]) for row in rows] == [("128 x 72", "surfels"), ("128 x 72", "pixels")]
    assert all(row["frames a second"] == pytest.approx(1e3 / row["glimpse"]["median_ms"]) for row in rows)


def test_tables_are_printed_and_written(quick_run: Callable[[str], QuickRun]) -> None:
    run = quick_run("preview")
    assert run.page.startswith(BEGIN)
    assert "## Preview rate" in run.page
    assert "## Preview rate" in run.printed
    assert not run.plots, "it has nothing to plot"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tea"], "unknown: tea"),
        ([], "nothing to measure"),
        (["preview", "--quick", "--threads", "0"], "--threads must be at least 1"),
        (["recorded"], "recorded needs one recording, got 0"),
        (["recorded", "here", "there"], "recorded needs one recording, got 2"),
        (["recorded", "nowhere"], "nowhere does not exist"),
        (["recorded", "nowhere", "--repeat", "0"], "--repeat must be at least 1"),
        (["recorded", "nowhere", "--voxel", "-1"], "--voxel must be positive"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 1
    message = capsys.readouterr().err
    assert said in message


def test_memory_is_measured_beside_busy_processes(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert main(["bench", "memory", "--quick", "--busy", "--json", str(file)]) == 0
    outcome = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]["memory"]
    plain, busy = (table["rows"] for table in outcome["tables"])
    assert [row["surfels"] for row in busy] == [row["surfels"] for row in plain]
    for row in busy:
        for name in ("glimpse", "write", "loop of one thread"):
            alone, beside = row[name], row[f"{name}, busy"]
            assert (alone["repeats"], beside["repeats"]) == (2, 2)
            assert row[f"{name}: times"] == pytest.approx(beside["median_ms"] / alone["median_ms"])
    budgets = {budget["what"]: budget["measured"] for budget in outcome["budgets"]}
    what = f"glimpse with the other cores busy, over a loop of one thread, {busy[-1]['surfels']:,} surfels"
    # Beside what the machine takes from any program.
    own = busy[-1]["loop of one thread: times"]
    assert budgets[what] == pytest.approx(busy[-1]["glimpse: times"] / own)


def test_without_ros_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    assert main(["bench", "dds", "--quick"]) == 1
    assert "make setup" in capsys.readouterr().err


@pytest.mark.slow
def test_interrupt_ends_it_cleanly_and_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    names = ["quality", "memory", "--quick", "--threads", "1"]
    command = [sys.executable, "-m", "vmem_ros.cli", "bench", *names, "--json", str(file)]
    # memory comes first: once its figures are written, the interrupt meets those of quality, which take seconds.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        wait_until(lambda: file.exists() or process.poll() is not None, "the first figures")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    # A Python that was interrupted within exec(), as imports call it, ends by the signal: 130, too, for a shell.
    assert process.returncode in (130, -signal.SIGINT), errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(json.loads(file.read_text(encoding="utf-8"))["benchmarks"]) == ["memory"]
