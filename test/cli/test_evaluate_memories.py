"""``vmem evaluate memories``: what it compares, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recorded import walk
from vmem_ros.cli import main
from vmem_ros.evaluation.memory_report import FIGURES, MARKS, SHORT_MARKS
from vmem_ros.memory import MEMORIES
from vmem_ros.recordings.posed_folder_writer import write_posed_folder

_HOUSES = ["--houses", "1", "--walk", "4", "--width", "48"]


def test_it_compares_all_memories_in_houses_and_on_recordings(tmp_path: Path, capsys) -> None:
    write_posed_folder(tmp_path / "walk", iter(walk(3)))
    page, readme, out = tmp_path / "memories.md", tmp_path / "README.md", tmp_path / "out"
    readme.write_text(f"Short.\n{SHORT_MARKS[0]}\nlast time\n{SHORT_MARKS[1]}\n")
    pages = ["--markdown", str(page), "--markdown", str(readme)]
    assert main(["evaluate", "memories", str(tmp_path / "walk"), *_HOUSES, "--out", str(out), *pages]) == 0
    figures = json.loads((out / FIGURES).read_text(encoding="utf-8"))
    exact, noisy = (
        next(place["memories"] for place in figures["places"] if word in place["kind"]) for word in ("exact", "noisy")
    )
    assert len(figures["places"]) == 3
    assert list(exact) == list(MEMORIES)
    for name in MEMORIES:
        assert exact[name]["share"] > 0.5
        # What errs is worse, whatever remembers.
        assert exact[name]["shown_psnr_db"] > noisy[name]["shown_psnr_db"]
        assert exact[name]["shown_depth_median_rel"] < noisy[name]["shown_depth_median_rel"]
    assert len(list(out.glob("*.jpg"))) == 3
    assert MARKS[0] in page.read_text()
    assert "last time" not in readme.read_text()
    printed = capsys.readouterr().out
    for heading in ("Houses, exact depth", "Houses, noisy depth and poses", "What they cost"):
        assert f"## {heading}" in printed


def test_memories_are_chosen(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "memories", *_HOUSES, "--memory", "points", "--out", str(out)]) == 0
    figures = json.loads((out / FIGURES).read_text(encoding="utf-8"))
    assert [list(place["memories"]) for place in figures["places"]] == [["points"], ["points"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--houses", "0"], "nothing to compare"),
        (["--houses", "1000000000"], "--houses must be at most"),
        (["--walk", "1"], "--walk must be at least 2"),
        (["--memory", "elephant"], "elephant"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], said: str, capsys) -> None:
    assert main(["evaluate", "memories", *arguments]) == 1
    assert said in capsys.readouterr().err
