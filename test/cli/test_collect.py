"""``vmem collect``: libraries of pictures of houses and of recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recorded import walk
from vmem_ros.cli import main
from vmem_ros.generation.exemplars import ExemplarLibrary, load_library
from vmem_ros.recordings.posed_folder_writer import write_posed_folder


def test_the_first_pictures_are_those_of_the_package(tmp_path: Path) -> None:
    assert main(["collect", "--out", str(tmp_path / "own.safetensors"), "--pictures", "2"]) == 0
    library, packaged = ExemplarLibrary.load(tmp_path / "own.safetensors"), load_library("package", of_package=False)
    assert packaged is not None
    assert (len(library), library.side) == (2, packaged.side)
    for number in range(2):
        assert (library.picture(number).float() - packaged.picture(number).float()).abs().mean() < 1


def test_pictures_of_a_recording_are_squares(tmp_path: Path) -> None:
    write_posed_folder(tmp_path / "walk", iter(walk(3)))
    out = tmp_path / "walk.safetensors"
    assert (
        main(["collect", "--recording", str(tmp_path / "walk"), "--every", "2", "--side", "64", "--out", str(out)]) == 0
    )
    library = ExemplarLibrary.load(out)
    assert (len(library), library.side) == (2, 64)
    assert library.picture(0).float().std() > 5
    assert not torch.equal(library.picture(0), library.picture(1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pictures", "0"], "--pictures must be at least 1, got 0"),
        (["--side", "32"], "--side must be at least 64"),
        (["--recording", "nowhere/such"], "nowhere/such does not exist"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["collect", "--out", str(tmp_path / "own.safetensors"), *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "own.safetensors").exists()
