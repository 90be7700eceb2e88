"""What ``vmem bench`` leaves behind: Markdown between marks, and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from vmem_ros.benchmarking.report import BEGIN, END, Results, own_marks
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures
from vmem_ros.benchmarking.timing import Timing


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


def test_a_benchmark_with_marks_of_its_own_leaves_the_others_alone(tmp_path):
    file = tmp_path / "page.md"
    (begin, end), outcomes = own_marks("b"), {n: BenchmarkResult([Figures(f"New {n}", [{"n": 1}])]) for n in "ab"}
    old = f"top\n{BEGIN}\nold a\n{END}\nmiddle\n{begin}\nold b\n{end}\nbottom\n"
    file.write_text(old, encoding="utf-8")
    Results("vmem bench b", outcomes={"b": outcomes["b"]}, seconds={"b": 1.0}).write_markdown(file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"top\n{BEGIN}\nold a\n{END}\nmiddle\n{begin}\n")
    assert text.endswith(f"{end}\nbottom\n")
    assert text.count("## New b") == 1
    assert "old b" not in text
    Results("vmem bench --all", outcomes=outcomes, seconds=dict.fromkeys("ab", 1.0)).write_markdown(file)
    first, _, second = file.read_text(encoding="utf-8").partition("middle")
    assert "## New a" in first
    assert "## New b" not in first
    assert "## New b" in second
    assert "old" not in first + second


def test_marks_that_do_not_end_are_not_written_to(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"{own_marks('b')[0]}\nmine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="vmem bench b: end"):
        Results("x", outcomes={"b": BenchmarkResult([])}, seconds={"b": 1.0}).write_markdown(file)
    assert file.read_text(encoding="utf-8").endswith("mine\n")
