"""Sheets of named rows of pictures."""

import numpy as np
import torch
from PIL import Image

from vmem_ros.reporting.image_grid import Block, write_image_grid


def flat(colour: tuple[int, int, int], size: tuple[int, int]) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.uint8).expand(*size, 3)


def count(path, colour: tuple[int, int, int]) -> int:
    with Image.open(path) as sheet:
        return int((np.asarray(sheet.convert("RGB")) == colour).all(axis=-1).sum())


def test_all_pictures_of_all_blocks_are_there(tmp_path):
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    size = (120, 160)
    blocks = [
        Block("first", {"row": [flat(red, size), flat(green, size)], "other": [flat(red, size)]}, ["a", "b"]),
        Block("second", {"row": [flat(blue, size)]}),
    ]
    write_image_grid(tmp_path / "sheet.png", blocks)
    assert [count(tmp_path / "sheet.png", colour) for colour in (red, green, blue)] == [38400, 19200, 19200]


def test_small_pictures_are_shown_at_twice_their_size(tmp_path):
    write_image_grid(tmp_path / "sheet.png", [Block("", {"row": [flat((200, 0, 0), (24, 32))]})])
    assert count(tmp_path / "sheet.png", (200, 0, 0)) == 4 * 24 * 32
