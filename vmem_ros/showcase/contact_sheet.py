"""Contact sheets and animations: the first thing that a user looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vmem_ros.evaluation.metrics import psnr
from vmem_ros.evaluation.registry import PSNR
from vmem_ros.files import atomic_file
from vmem_ros.reporting.colormaps import confidence_overlay, depth_colors
from vmem_ros.reporting.drawing import font, picture, placeholder, ramp
from vmem_ros.reporting.floor_map import FloorMap
from vmem_ros.reporting.palette import ASKED, CONFIDENCE_RAMP, INK, MUTED, PAPER, ROBOT, RULE
from vmem_ros.reporting.sample import Sample
from vmem_ros.types import Elements

_WIDTH, _MARGIN, _GAP = 1456, 28, 10
_HEADER = 340


def write_contact_sheet(
    path: Path,
    samples: Sequence[Sample],
    *,
    elements: Elements,
    robot: Tensor,
    title: str,
    facts: Sequence[tuple[str, str]],
    rows: int = 8,
) -> None:
    """Write a PNG that shows some of the samples: pose asked for, preview, view, truth if known, confidence.

    :param samples: along a path; ``rows`` of them, evenly spread and with the first and the last, are shown.
    :param elements: what the world remembers, for the map.
    :param robot: [N, 4, 4] where a real camera was.
    :param facts: (value, what it is) for the head of the sheet.
    """
    path_poses = torch.stack([s.view.T_world_camera for s in samples])
    everything = torch.cat([path_poses, robot])
    with_truth = any(s.truth is not None for s in samples)
    columns = ["asked pose", "preview, from memory alone", "generated view", "confidence"]
    if with_truth:
        columns.insert(3, "truth, never shown to it")
    step = (_WIDTH - 2 * _MARGIN + _GAP) // len(columns)
    cell = (step - _GAP, round((step - _GAP) * samples[0].view.camera.height / samples[0].view.camera.width))
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(rows, len(samples))).round().astype(int))
    row_height = cell[1] + 34
    sheet = Image.new("RGB", (_WIDTH, _HEADER + 40 + len(chosen) * row_height + _MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)

    map_size = (554, _HEADER - 2 * _MARGIN)
    overview = FloorMap(elements, everything, size=map_size).image(robot=robot, path=path_poses, numbers=True)
    sheet.paste(picture(overview), (_MARGIN, _MARGIN))
    _write_header(draw, _MARGIN + map_size[0] + 3 * _GAP, title, facts, observed=len(robot))

    small_map = FloorMap(elements, everything, size=cell)
    top = _HEADER
    for i, name in enumerate(columns):
        draw.text((_MARGIN + i * step, top), name, INK, font(15, "bold"))
    draw.line([(_MARGIN, top + 24), (_WIDTH - _MARGIN, top + 24)], fill=RULE)
    for row, index in enumerate(chosen):
        sample, y = samples[index], top + 32 + row * row_height
        for i, panel in enumerate(_panels(sample, small_map, robot, cell, with_truth=with_truth)):
            sheet.paste(panel, (_MARGIN + i * step, y))
        draw.text((_MARGIN, y + cell[1] + 5), _caption(sample, index, len(samples)), MUTED, font(13))
    with atomic_file(path) as new:
        sheet.save(new)


def _write_header(
    draw: ImageDraw.ImageDraw, x: int, title: str, facts: Sequence[tuple[str, str]], *, observed: int
) -> None:
    draw.text((x, _MARGIN), title, INK, font(24, "bold"))
    y = _MARGIN + 44
    for value, meaning in facts:
        draw.text((x + 120, y), value, INK, font(17, "bold"), anchor="ra")
        draw.text((x + 134, y + 2), meaning, MUTED, font(15))
        y += 27
    y = _HEADER - _MARGIN - 56
    draw.line([(x, y + 9), (x + 26, y + 9)], fill=ROBOT, width=3)
    draw.text((x + 36, y), f"where a real camera was ({observed} view{'s' * (observed != 1)})", INK, font(14))
    draw.line([(x + 330, y + 9), (x + 356, y + 9)], fill=ASKED, width=3)
    draw.text((x + 366, y), "poses that were asked for", INK, font(14))
    ramp(draw, (x, y + 34, x + 110, y + 48), CONFIDENCE_RAMP)
    draw.text((x + 120, y + 32), "invented · imagined before, remembered · seen by a camera", INK, font(14))


def _panels(
    sample: Sample, floor_map: FloorMap, robot: Tensor, cell: tuple[int, int], *, with_truth: bool
) -> list[Image.Image]:
    panels = [picture(floor_map.image(robot=robot, here=sample.view.T_world_camera))]
    panels += [picture(sample.preview.image, cell), picture(sample.view.image, cell)]
    if with_truth:
        panels.append(picture(sample.truth.image, cell) if sample.truth is not None else placeholder(cell, "unknown"))
    return [*panels, picture(confidence_overlay(sample.view.image, sample.confidence), cell)]


def _caption(sample: Sample, index: int, n: int) -> str:
    parts = [f"view {index + 1} of {n}", f"{sample.remembered:.0%} remembered"]
    if sample.truth is not None:
        parts.append(f"{PSNR.text(psnr(sample.view.image, sample.truth.image))} against the truth")
    return "  ·  ".join(parts)


def write_animation(
    path: Path, samples: Sequence[Sample], *, elements: Elements, robot: Tensor, frames_per_s: float = 8.0
) -> None:
    """Write the path as an animation that repeats: map, preview, view, truth if known, confidence, depth.

    :param path: ending in ``.gif`` (opens everywhere) or ``.webp`` (a fifth of the size).
    """
    poses = torch.stack([s.view.T_world_camera for s in samples])
    camera = samples[0].view.camera
    cell = (240, round(240 * camera.height / camera.width))
    floor_map = FloorMap(elements, torch.cat([poses, robot]), size=cell)
    with_truth = any(s.truth is not None for s in samples)
    names = ["asked pose", "from memory alone", "generated", *(["truth"] if with_truth else []), "confidence", "depth"]
    near_m, far_m = _depth_range(samples)
    frames = []
    for sample in samples:
        panels = _panels(sample, floor_map, robot, cell, with_truth=with_truth)
        if sample.view.depth is None:
            panels.append(placeholder(cell, "unknown"))
        else:
            panels.append(picture(depth_colors(sample.view.depth, near_m=near_m, far_m=far_m), cell))
        frame = Image.new("RGB", (len(panels) * (cell[0] + 4) - 4, cell[1] + 22), PAPER)
        draw = ImageDraw.Draw(frame)
        for i, (panel, name) in enumerate(zip(panels, names, strict=True)):
            draw.text((i * (cell[0] + 4) + 4, 3), name, INK, font(13))
            frame.paste(panel, (i * (cell[0] + 4), 22))
        frames.append(frame)
    if path.suffix.lower() == ".gif":
        frames = _with_one_palette(frames)
    with atomic_file(path) as new:
        frames[0].save(new, save_all=True, append_images=frames[1:], duration=round(1000 / frames_per_s), loop=0)


def _depth_range(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return one range of depth for all views, without the nearest and the farthest few pixels."""
    depths = [sample.view.depth[::8, ::8] for sample in samples if sample.view.depth is not None]
    known = torch.cat([depth[torch.isfinite(depth)] for depth in depths]) if depths else torch.empty(0)
    if not len(known):
        return 0.5, 10.0
    near_m, far_m = (float(known.quantile(q)) for q in (0.02, 0.98))
    return near_m, max(far_m, 1.01 * near_m)


def _with_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Return frames in the 256 colours that suit all of them: palettes of their own flicker and take longer."""
    few = frames[:: max(1, len(frames) // 8)]
    montage = Image.new("RGB", (frames[0].width, frames[0].height * len(few)))
    for i, frame in enumerate(few):
        montage.paste(frame, (0, i * frame.height))
    palette = montage.quantize(256)
    return [frame.quantize(palette=palette) for frame in frames]
