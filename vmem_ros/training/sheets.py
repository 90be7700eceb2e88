"""Sample sheets: named rows of small pictures, in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from torch import Tensor

from vmem_ros.evaluation.drawing import INK, PAPER, font, picture

_GAP, _LABEL, _TITLE = 3, 90, 20
# Smaller pictures are shown at twice their size.
_SMALL = 100


def write_sheet(path: Path, blocks: Sequence[tuple[str, Mapping[str, Sequence[Tensor]]]]) -> None:
    """Write blocks below one another.

    :param blocks: (title, name of each row: its images [H, W, 3] uint8).
    """
    height, width = next(iter(blocks[0][1].values()))[0].shape[:2]
    scale = 2 if max(height, width) < _SMALL else 1
    cell = (width * scale, height * scale)
    columns = max(len(row) for _, rows in blocks for row in rows.values())
    total = sum(_TITLE + len(rows) * (cell[1] + _GAP) for _, rows in blocks)
    sheet = Image.new("RGB", (_LABEL + columns * (cell[0] + _GAP), total), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = 0
    for title, rows in blocks:
        draw.text((4, y + 3), title, INK, font(12, "bold"))
        y += _TITLE
        for name, images in rows.items():
            draw.text((4, y + cell[1] // 2), name, INK, font(11), anchor="lm")
            for i, image in enumerate(images):
                sheet.paste(picture(image, cell), (_LABEL + i * (cell[0] + _GAP), y))
            y += cell[1] + _GAP
    sheet.save(path)
