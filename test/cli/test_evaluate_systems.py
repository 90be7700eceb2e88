"""``vmem evaluate systems``: what it compares, what it writes, what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from recorded import walk
from vmem_ros.cli import main
from vmem_ros.evaluation.system_report import FIGURES, MARKS, SHORT_MARKS
from vmem_ros.evaluation.systems import SYSTEMS
from vmem_ros.recordings.posed_folder_writer import write_posed_folder

_SMALL = ["--houses", "1", "--poses", "2", "--loop", "2", "--size", "64", "--width", "48"]


def decibels(scores: dict) -> float:
    """Return the PSNR of scores in JSON, which has no number for that of equal pictures."""
    return math.inf if scores["psnr_db"] == "identical" else scores["psnr_db"]


@pytest.mark.slow
def test_it_compares_all_systems_in_houses_and_on_recordings(tmp_path: Path, capsys) -> None:
    write_posed_folder(tmp_path / "walk", iter(walk(3)))
    page, readme, out = tmp_path / "memories.md", tmp_path / "README.md", tmp_path / "out"
    readme.write_text(f"Short.\n{SHORT_MARKS[0]}\nlast time\n{SHORT_MARKS[1]}\n")
    pages = ["--markdown", str(page), "--markdown", str(readme)]
    assert main(["evaluate", "systems", str(tmp_path / "walk"), *_SMALL, "--out", str(out), *pages]) == 0
    figures = json.loads((out / FIGURES).read_text(encoding="utf-8"))
    [house], [recording] = figures["houses"].values(), figures["recordings"].values()
    names = [system.name for system in SYSTEMS]
    assert list(house) == names
    assert list(recording) == names
    for system in SYSTEMS:
        scores = house[system.name]
        assert scores["view_kb"] > 0
        if system.method.projection:
            # What a memory shows is laid over every picture, so that all of them come back to what they drew.
            blind = house["no memory: newest views"]
            for what in ("back", "truth"):
                assert decibels(scores[what]) > decibels(blind[what])
    assert len(list(out.glob("*.jpg"))) == 2
    assert MARKS[0] in page.read_text()
    assert "last time" not in readme.read_text()
    printed = capsys.readouterr().out
    for heading in ("Houses", "What they cost"):
        assert f"## {heading}" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--houses", "0"], "nothing to compare"),
        (["--houses", "1000000000"], "--houses must be at most"),
        (["--poses", "0"], "--poses must be at least 1"),
        (["--model", "elephant=runs/x"], "--model is ENGINE=FOLDER with one of vmem, spatia, mirage, gac"),
        (["--model", "spatia=nowhere/such"], "no pipeline folder nowhere/such"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], said: str, capsys) -> None:
    assert main(["evaluate", "systems", *arguments]) == 1
    assert said in capsys.readouterr().err
