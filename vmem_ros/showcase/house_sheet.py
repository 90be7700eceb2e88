"""A contact sheet of houses: ``python -m vmem_ros.showcase.house_sheet --output docs/houses.png``.

One row a house: its plan from above with the cameras drawn in, then what they see.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vmem_ros.files import atomic_file
from vmem_ros.geometry import Camera, invert, project, transform
from vmem_ros.reporting.drawing import font, picture
from vmem_ros.reporting.palette import INK, PAPER, SERIES
from vmem_ros.scenes.house import EVALUATION_SEEDS, House

_VIEW = (272, 204)
_GAP, _CAPTION = 8, 22


def best_views(house: House, count: int) -> list[Tensor]:
    """Return ``count`` poses of a survey drive that see far and much, spread over the rooms."""
    poses = house.drive(24 * len(house.rooms))
    small = house.render_batch(Camera.from_fov(64, 48, 75), poses)
    sharpness = small.image.float().mean(dim=-1).diff(dim=-1).abs().mean(dim=(1, 2))
    depth = small.depth.flatten(1)
    score = depth.median(dim=1).values.clamp(max=3.5) + 1.5 * depth.quantile(0.25, dim=1) + 0.15 * sharpness
    chosen: list[int] = []
    for _ in range(count):
        apart = torch.cdist(poses[:, :3, 3], poses[chosen, :3, 3]).clamp(max=3.0)
        chosen.append(int((score + 0.9 * (apart.amin(dim=1) if chosen else 0.0)).argmax()))
    return [poses[i] for i in sorted(chosen)]


def contact_sheet(seeds: list[int], *, views: int = 4, supersample: int = 3) -> Image.Image:
    """Return the sheet of the houses with these seeds."""
    width, height = _VIEW
    cell = (width + _GAP, height + _GAP + _CAPTION)
    sheet = Image.new("RGB", (_GAP + cell[0] * (views + 1), _GAP + cell[1] * len(seeds)), PAPER)
    draw = ImageDraw.Draw(sheet)
    camera = Camera.from_fov(width, height, 75)
    for row, seed in enumerate(seeds):
        house = House(seed)
        poses = best_views(house, views)
        pictures = house.render_batch(camera, torch.stack(poses), supersample=supersample).image
        cells = [(_floor_plan(house, poses), f"house {seed}: {len(house.rooms)} rooms, {len(house.solids)} solids")]
        captions = [f"from the {_room_name(house, pose)}" for pose in poses]
        cells += [(picture(p), caption) for p, caption in zip(pictures, captions, strict=True)]
        y = _GAP + row * cell[1]
        for column, (panel, caption) in enumerate(cells):
            x = _GAP + column * cell[0]
            sheet.paste(panel, (x + (width - panel.width) // 2, y + (height - panel.height) // 2))
            draw.text((x + 2, y + height + 2), caption, fill=SERIES[column - 1] if column else INK, font=font(14))
    return sheet


def _room_name(house: House, pose: Tensor) -> str:
    x, y = (float(v) for v in pose[:2, 3])
    return next(r.name for r in house.rooms if r.cell[0] <= x <= r.cell[2] and r.cell[1] <= y <= r.cell[3])


def _floor_plan(house: House, poses: list[Tensor]) -> Image.Image:
    """Return the house from above, with a mark at every camera that points where it looks."""
    width, height = _VIEW
    target = house.plan_target(width)
    if target.camera.height > height:
        target = house.plan_target(int(width * height / target.camera.height))
    out = picture(house.render(target, supersample=3, cutaway=True).image)
    draw = ImageDraw.Draw(out)
    for pose, colour in zip(poses, SERIES, strict=False):
        corners = torch.tensor([[0.0, 0.0, 0.0], [-0.3, 0.0, 0.55], [0.3, 0.0, 0.55]], dtype=torch.float64)
        world = transform(pose, corners)
        pixels, _ = project(transform(invert(target.T_world_camera), world), target.camera)
        draw.polygon([tuple(p) for p in pixels.tolist()], fill=colour, outline="white")
    return out


def main() -> None:
    """Write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/houses.png"))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(EVALUATION_SEEDS[:6]))
    parser.add_argument("--supersample", type=int, default=3)
    options = parser.parse_args()
    sheet = contact_sheet(options.seeds, supersample=options.supersample)
    with atomic_file(options.output) as new:
        sheet.save(new, optimize=True)
    print(f"{options.output}: {sheet.width} x {sheet.height}, {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
