"""``vmem bench``: its clock, its endless building, and what a quick run leaves behind. No figure is judged here."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.benchmarking.report import BEGIN, END, Results
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures
from vmem_ros.benchmarking.timing import Case, Timing, figure, measure, measure_in_turn
from vmem_ros.cli import main
from vmem_ros.geometry import Camera, transform, unproject
from vmem_ros.memory.surfel import SurfelMemory

CAMERA = Camera.from_fov(64, 48, 75)


@pytest.fixture
def threads() -> Iterator[str]:
    """``--threads`` of a run in this process, which keeps the setting."""
    before = torch.get_num_threads()
    yield "1"
    torch.set_num_threads(before)


# -- timing ------------------------------------------------------------------------------------------------------------
def test_percentiles_are_repeats_that_happened() -> None:
    timing = Timing(tuple(i / 1000 for i in (5, 1, 4, 2, 3, 10, 6, 7, 9, 8)))
    assert (timing.median_ms, timing.p90_ms) == (pytest.approx(5), pytest.approx(9))
    assert Timing((0.002,)).p90_ms == pytest.approx(2)
    assert timing.record() == {
        "median_ms": pytest.approx(5),
        "p90_ms": pytest.approx(9),
        "min_ms": pytest.approx(1),
        "repeats": 10,
    }


def test_first_call_and_taking_back_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def call(seconds: float) -> None:
        nonlocal now
        now += seconds

    timing = measure(call, [5.0, 0.5, 0.25], afterwards=lambda: call(3.0))
    assert now == 5.75 + 3 * 3.0
    assert timing.seconds == (0.5, 0.25)


def test_cases_take_turns() -> None:
    order: list[str] = []
    cases = [Case(order.append, [f"{name}{i}" for i in range(3)], lambda: order.append("back")) for name in "ab"]
    first, second = measure_in_turn(cases)
    assert [entry for entry in order if entry != "back"] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert order[1::2] == ["back"] * 6
    assert len(first.seconds) == len(second.seconds) == 2


def test_a_slow_call_is_repeated_three_times_whatever_the_limit() -> None:
    assert len(measure(lambda _: None, range(100), limit_s=0.0).seconds) == 3


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (math.nan, "-"), (math.inf, "-")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


# -- the building ------------------------------------------------------------------------------------------------------
def test_views_of_a_room_agree_about_its_geometry() -> None:
    """A point that one view sees lies on the surface that another view sees, unless something hides it there."""
    building = Building()
    first, second = (building.view(t) for t in (next(building.walk(CAMERA, start=3)), building.ask(CAMERA, 3)))
    assert first.depth is not None
    assert second.depth is not None
    world = transform(first.T_world_camera, unproject(first.depth, CAMERA).reshape(-1, 3).double())
    seen = transform(torch.linalg.inv(second.T_world_camera), world)
    u, v = (CAMERA.K[:2] @ (seen / seen[:, 2:]).T).floor().long()
    inside = (seen[:, 2] > 0.1) & (u >= 0) & (u < CAMERA.width) & (v >= 0) & (v < CAMERA.height)
    there = second.depth[v[inside], u[inside]].double()
    assert int(inside.sum()) > 100
    # Never in front of what the other view sees, and mostly on it; a pixel of 64 spans a few per cent of depth.
    assert bool((seen[inside, 2] > 0.9 * there).float().mean() > 0.97)
    assert float((seen[inside, 2] / there - 1).abs().median()) < 0.02


def test_every_room_has_its_own_place_and_its_own_look() -> None:
    building = Building()
    targets = list(islice(building.walk(CAMERA), 0, 30 * VIEWS_PER_ROOM, VIEWS_PER_ROOM))
    cells = {tuple((t.T_world_camera[:2, 3] / 5.2).round().int().tolist()) for t in targets}
    assert len(cells) == 30
    assert max(abs(c) for cell in cells for c in cell) == 3  # a filled square, not a line
    pictures = {building.view(t).image.numpy().tobytes() for t in targets[:4]}
    assert len(pictures) == 4


def test_a_small_building_is_walked_again_from_new_places() -> None:
    building = Building(rooms=2)
    targets = list(islice(building.walk(CAMERA), 4 * VIEWS_PER_ROOM))
    cells = {tuple((t.T_world_camera[:2, 3] / 5.2).round().int().tolist()) for t in targets}
    assert len(cells) == 2
    poses = torch.stack([t.T_world_camera for t in targets]).flatten(1)
    assert float(torch.cdist(poses, poses).fill_diagonal_(1).min()) > 1e-3


def test_survey_fills_a_memory_and_knows_what_is_new() -> None:
    memory = SurfelMemory()
    survey = MemoryFiller(Building(), CAMERA, memory)
    survey.grow(views=VIEWS_PER_ROOM)
    assert len(memory) == VIEWS_PER_ROOM
    survey.grow(surfels=memory.n_surfels + 1)
    assert len(memory) == VIEWS_PER_ROOM + 1

    def share_of_new_surfels(written: tuple) -> float:
        before = memory.n_surfels
        memory.write(*written)
        added = memory.n_surfels - before
        memory.undo()
        return added / (64 * 48)

    [new], [known] = survey.new_views(1), survey.known_views(1)
    assert share_of_new_surfels(new) > 4 * share_of_new_surfels(known)
    stored = [v.T_world_camera for v in memory.views]
    asked = [t.T_world_camera for targets in survey.asks(3, chunk=2) for t in targets]
    assert len(asked) == 6
    assert not any(torch.equal(a, s) for a in asked for s in stored)


# -- results -----------------------------------------------------------------------------------------------------------
def example() -> Results:
    table = Figures("Sizes", [{"size": 1000, "read": Timing((0.01, 0.02)), "ratio": math.nan}], "A note.")
    return Results(
        "vmem bench x", outcomes={"x": BenchmarkResult([table], [Budget("read", 15, 10.0)])}, seconds={"x": 1.0}
    )


def test_markdown_goes_between_the_marks(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"# Page\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        example().write_markdown(file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# Page\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert text.count("| 1,000 | 10.0 / 20.0 | - |") == 1
    assert "| read | 15.0 ms | 10.0 ms | yes |" in text


def test_a_page_without_marks_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("mine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no lines"):
        example().write_markdown(file)
    assert file.read_text(encoding="utf-8") == "mine\n"


def test_json_holds_every_figure(tmp_path: Path) -> None:
    example().write_json(tmp_path / "new" / "bench.json")
    record = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert record["command"] == "vmem bench x"
    assert record["machine"]["threads of torch"] == str(torch.get_num_threads())
    [row] = record["benchmarks"]["x"]["tables"][0]["rows"]
    assert row["size"] == 1000
    assert row["read"]["median_ms"] == pytest.approx(10)
    assert row["ratio"] is None
    assert record["benchmarks"]["x"]["budgets"] == [{"what": "read", "limit": 15, "measured": 10.0, "unit": "ms"}]


# -- the command -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "timed", "rows"),
    [
        ("memory", ["read 1", "read 4", "glimpse pixels", "write new", "write known", "undo", "save", "load"], 2),
        ("history", ["read", "write", "glimpse", "step"], 2),
        ("quality", [], 5),
        ("preview", ["glimpse"], 2),
    ],
)
def test_quick_run(name: str, timed: list[str], rows: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = str(torch.get_num_threads())
    json_file, plots = tmp_path / "bench.json", tmp_path / "plots"
    arguments = ["--json", str(json_file), "--plots", str(plots), "--markdown", str(tmp_path / "bench.md")]
    assert main(["bench", name, "--quick", "--threads", threads, *arguments]) == 0
    tables = json.loads(json_file.read_text(encoding="utf-8"))["benchmarks"][name]["tables"]
    assert len(tables[0]["rows"]) == rows
    assert all(row[column]["median_ms"] > 0 for row in tables[0]["rows"] for column in timed)
    printed = capsys.readouterr().out
    assert all(f"## {table['title']}" in printed for table in tables)
    assert (tmp_path / "bench.md").read_text(encoding="utf-8").startswith(BEGIN)
    drawn = sorted(p.name for p in plots.iterdir())
    assert drawn == (["history.png"] if name == "history" else [])
    for picture in drawn:
        with Image.open(plots / picture) as image:
            assert min(image.size) > 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tea"], "unknown: tea"),
        ([], "nothing to measure"),
        (["preview", "--quick", "--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 1
    message = capsys.readouterr().err
    assert said in message


def test_without_ros_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    assert main(["bench", "dds", "--quick"]) == 1
    assert "make setup" in capsys.readouterr().err


def test_interrupt_ends_it_cleanly_and_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    names = ["preview", "memory", "--quick", "--threads", "1"]
    command = [sys.executable, "-m", "vmem_ros.cli", "bench", *names, "--json", str(file)]
    # memory comes first: once its figures are written, the interrupt meets the preview's.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        while not file.exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list(json.loads(file.read_text(encoding="utf-8"))["benchmarks"]) == ["memory"]
