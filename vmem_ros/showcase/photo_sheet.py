"""A contact sheet of photographs: ``python -m vmem_ros.showcase.photo_sheet photo.jpg ... --output sheet.jpg``.

One row a photograph: what memory shows at its own pose, and what it shows and what is drawn after small movements.
Depth is estimated. A table of figures is printed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from tqdm import tqdm

from vmem_ros.files import atomic_file
from vmem_ros.reporting.drawing import font, picture
from vmem_ros.reporting.palette import INK, MUTED, PAPER
from vmem_ros.reporting.tables import Column, Table, Value
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    estimator_from_options,
    generator_from_options,
    memory_from_options,
)
from vmem_ros.showcase.photo import read_photo
from vmem_ros.showcase.photo_moves import Moved, moves, own_pose_psnr
from vmem_ros.types import View
from vmem_ros.world import World

_WIDTH, _GAP, _MARGIN, _HEADER, _CAPTION = 184, 6, 14, 46, 18
# Where memory shows nothing.
_HOLE = torch.tensor([236, 0, 140], dtype=torch.uint8)


def sheet(photos: Mapping[str, View], answers: Mapping[str, Mapping[str, Moved]]) -> Image.Image:
    """Return the sheet.

    :param answers: of each photograph, by movement.
    """
    names = list(next(iter(answers.values())))
    columns = [("photograph", ""), (names[0], "shown by memory")]
    columns += [(name, what) for name in names[1:] for what in ("shown by memory", "drawn")]
    heights = [round(_WIDTH * view.camera.height / view.camera.width) for view in photos.values()]
    size = (
        2 * _MARGIN + len(columns) * (_WIDTH + _GAP) - _GAP,
        2 * _MARGIN + _HEADER + sum(height + _CAPTION + _GAP for height in heights),
    )
    out = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(out)
    for column, (name, what) in enumerate(columns):
        x = _MARGIN + column * (_WIDTH + _GAP)
        draw.text((x, _MARGIN), name, INK, font(15, "bold"))
        draw.text((x, _MARGIN + 20), what, MUTED, font(14))
    y = _MARGIN + _HEADER
    for (title, view), height in zip(photos.items(), heights, strict=True):
        panels = [(picture(view.image, (_WIDTH, height)), title)]
        for name, moved in answers[title].items():
            seen = moved.shown.seen[..., None]
            shown = picture(torch.where(seen, moved.shown.image, _HOLE), (_WIDTH, height))
            panels.append((shown, f"{moved.share:.0%}, {moved.share_within:.1%} of its picture"))
            if name != names[0]:
                panels.append((picture(moved.drawn.image, (_WIDTH, height)), ""))
        for column, (panel, caption) in enumerate(panels):
            x = _MARGIN + column * (_WIDTH + _GAP)
            out.paste(panel, (x, y))
            draw.text((x, y + height + 1), caption, MUTED, font(12))
        y += height + _CAPTION + _GAP
    return out


def table(photos: Mapping[str, View], answers: Mapping[str, Mapping[str, Moved]]) -> Table:
    """Return the figures of each photograph."""
    rows: list[dict[str, Value]] = []
    columns: dict[str, Column] = {}
    for title, moved in answers.items():
        (own, at_own), *others = moved.items()
        row: dict[str, Value] = {"photograph": title}
        row[f"{own}: shown %"] = 100 * at_own.share
        row["PSNR shown dB"] = _decibel(own_pose_psnr(at_own.shown.image, photos[title]))
        row["PSNR drawn dB"] = _decibel(own_pose_psnr(at_own.drawn.image, photos[title]))
        for name, each in others:
            row[f"{name}: shown %"] = 100 * each.share
            row[f"{name}: of its picture %"] = 100 * each.share_within
        rows.append(row)
        columns = {name: Column(digits=1) for name in row if name != "photograph"}
    note = "Of its picture: of the pixels that the photograph covers at that pose, if its surface were not torn."
    return Table("Photographs", rows, note, columns)


def _decibel(value: float) -> Value:
    return value if math.isfinite(value) else "identical"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a contact sheet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="photographs")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the sheet, .jpg or .png")
    parser.add_argument("--fov", type=float, metavar="DEGREES", help="horizontal field of view (default: see explore)")
    parser.add_argument("--width", type=int, default=384, help="width of the views in pixels, at most (default 384)")
    add_engine_options(parser)
    args = parser.parse_args(arguments)
    generator = generator_from_options(args)
    estimator = estimator_from_options(args, has_depth=False, prior="none", scene="auto")
    photos, answers = {}, {}
    for path in tqdm(args.photos, desc="photographs", unit="photo"):
        photo = read_photo(path, None, fov_deg=args.fov, max_width=args.width)
        world = World(memory_from_options(args), generator, estimator, reuse_views=False)
        photos[path.stem], answers[path.stem] = photo, dict(moves(world, photo))
    with atomic_file(args.output) as new:
        sheet(photos, answers).save(new, quality=80)
    print(table(photos, answers).body())
    print(f"wrote {args.output}, {args.output.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
