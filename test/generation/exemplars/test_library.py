"""Libraries of exemplars: what is kept, what they are found by, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vmem_ros.errors import ModelError
from vmem_ros.generation.exemplars import ExemplarLibrary, load_library

SIDE = 64


def striped(color: float, every: int = 8) -> torch.Tensor:
    """Return a picture [64, 64, 3] of one colour with brighter columns."""
    picture = torch.full((SIDE, SIDE, 3), color)
    picture[:, ::every] += 60
    return picture.to(torch.uint8)


def plain(color: int) -> torch.Tensor:
    """Return a picture [64, 64, 3] of one colour."""
    return torch.full((SIDE, SIDE, 3), color, dtype=torch.uint8)


class TestKeeping:
    def test_pictures_come_back(self, tmp_path: Path) -> None:
        pictures = [plain(40), plain(200), striped(90)]
        ExemplarLibrary.of(pictures, quality=95).save(tmp_path / "library.safetensors")
        library = ExemplarLibrary.load(tmp_path / "library.safetensors")
        assert (len(library), library.side) == (3, SIDE)
        for number, picture in enumerate(pictures):
            assert (library.picture(number).float() - picture.float()).abs().mean() < 3

    def test_thumbnails_are_means_and_details_differences(self) -> None:
        library = ExemplarLibrary.of([plain(51), striped(90)])
        assert library.thumbnails.shape == (2, 3, 16, 16)
        assert library.thumbnails[0] == pytest.approx(torch.full((3, 16, 16), 0.2).numpy(), abs=0.01)
        assert library.detail[0].max() < 0.01
        assert library.detail[1].mean() > 0.1


class TestRefusing:
    def test_nothing(self) -> None:
        with pytest.raises(ModelError, match="at least one picture"):
            ExemplarLibrary([])

    def test_pictures_of_other_sizes(self) -> None:
        with pytest.raises(ModelError, match="picture 1 is 64 x 32: all have to be square"):
            ExemplarLibrary.of([plain(3), plain(3)[:32]])

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="cannot read the exemplars"):
            ExemplarLibrary.load(tmp_path / "nothing.safetensors")

    @pytest.mark.parametrize("damage", ["end", "cut", "picture", "entry"])
    def test_what_is_damaged(self, tmp_path: Path, damage: str) -> None:
        path = tmp_path / "library.safetensors"
        ExemplarLibrary.of([plain(40), plain(200)]).save(path)
        entries = load_file(path)
        if damage == "end":
            entries["end"] = entries["end"].flip(0)
        elif damage == "picture":
            entries["jpeg"] = torch.zeros_like(entries["jpeg"])
        elif damage == "entry":
            del entries["end"]
        save_file(entries, path)
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelError, match=r"damaged|cannot read"):
            ExemplarLibrary.load(path)


def test_which_library_an_option_names(tmp_path: Path) -> None:
    assert load_library("none", of_package=True) is None
    assert load_library("auto", of_package=False) is None
    packaged = load_library("auto", of_package=True)
    assert packaged is not None
    assert len(packaged) > 500
    assert packaged.side == 128
    path = tmp_path / "own.safetensors"
    ExemplarLibrary.of([plain(7)]).save(path)
    own = load_library(path, of_package=False)
    assert own is not None
    assert len(own) == 1
