"""Sheets of named rows of small pictures, in blocks below one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from vmem_ros.files import atomic_file
from vmem_ros.reporting.drawing import font, picture
from vmem_ros.reporting.palette import INK, MUTED, PAPER

_GAP, _TITLE, _HEADS, _MARGIN = 3, 20, 16, 10
_LABEL_SIZE = 11
# Smaller pictures are shown at twice their size.
_SMALL = 100


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of pictures under a title.

    :param rows: name of each row: its images [H, W, 3] uint8, the same size everywhere.
    :param heads: a word over each column; none by default.
    """

    title: str
    rows: Mapping[str, Sequence[Tensor]]
    heads: Sequence[str] = ()

    def height(self, cell_height: int) -> int:
        """Return the pixels that the block takes."""
        return _TITLE + (_HEADS if self.heads else 0) + len(self.rows) * (cell_height + _GAP)


def write_image_grid(path: Path, blocks: Sequence[Block]) -> None:
    """Write blocks below one another, as what the ending of ``path`` says."""
    height, width = next(iter(blocks[0].rows.values()))[0].shape[:2]
    scale = 2 if max(height, width) < _SMALL else 1
    cell = (width * scale, height * scale)
    labels = font(_LABEL_SIZE)
    left = _MARGIN + round(max(labels.getlength(name) for block in blocks for name in block.rows))
    columns = max(len(row) for block in blocks for row in block.rows.values())
    total = sum(block.height(cell[1]) for block in blocks)
    sheet = Image.new("RGB", (left + columns * (cell[0] + _GAP), total), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = 0
    for block in blocks:
        draw.text((4, y + 3), block.title, INK, font(12, "bold"))
        y += _TITLE
        for i, head in enumerate(block.heads):
            draw.text((left + i * (cell[0] + _GAP) + cell[0] // 2, y), head, MUTED, labels, anchor="ma")
        y += _HEADS if block.heads else 0
        for name, images in block.rows.items():
            draw.text((4, y + cell[1] // 2), name, INK, labels, anchor="lm")
            for i, image in enumerate(images):
                sheet.paste(picture(image, cell), (left + i * (cell[0] + _GAP), y))
            y += cell[1] + _GAP
    with atomic_file(path) as new:
        sheet.save(new)
