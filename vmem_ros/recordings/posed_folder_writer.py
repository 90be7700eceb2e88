"""Views written as a folder of posed RGB-D images."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vmem_ros.errors import RecordingError
from vmem_ros.files import atomic_folder
from vmem_ros.recordings.posed_folder import COLOR, DEPTH, INTRINSICS, META, MILLIMETRE, POSES, STAMPS
from vmem_ros.types import View

_LARGEST = np.iinfo(np.uint16).max


def write_posed_folder(folder: Path, views: Iterable[View], *, jpeg_quality: int | None = None) -> None:
    """Write views, in a world with z up, as a folder of :mod:`~vmem_ros.recordings.posed_folder`, whole or not at all.

    Depth is written in millimetres; what is farther than 65 m, or not known, becomes 0.

    :param views: taken one by one, at least one, all of one camera, all with depth or none.
    :param jpeg_quality: of the colour images, 1 to 100; ``None``: PNG, which loses nothing.
    :raises RecordingError: views that differ in camera or in having depth, or none.
    :raises OSError: it cannot be written; what was there stays.
    """
    suffix = ".png" if jpeg_quality is None else ".jpg"
    options: dict[str, Any] = {} if jpeg_quality is None else {"quality": jpeg_quality}
    first, views = _peeked(views)
    with atomic_folder(folder) as new:
        for name in (COLOR, POSES, *([DEPTH] if first.depth is not None else [])):
            (new / name).mkdir()
        stamps = []
        for index, view in enumerate(_alike(views, first)):
            name = f"{index:06d}"
            Image.fromarray(view.image.numpy()).save(new / COLOR / f"{name}{suffix}", **options)
            if view.depth is not None:
                units = np.nan_to_num(view.depth.numpy() / MILLIMETRE, nan=0, posinf=0).round()
                units[units > _LARGEST] = 0
                Image.fromarray(units.astype(np.uint16)).save(new / DEPTH / f"{name}.png")
            np.savetxt(new / POSES / f"{name}.txt", view.T_world_camera.numpy(), fmt="%.12g")
            stamps.append(f"{name} {view.stamp_ns}\n")
        np.savetxt(new / INTRINSICS, first.camera.K_opencv.numpy(), fmt="%.12g")
        (new / META).write_text(json.dumps({"depth_scale_m": MILLIMETRE, "up": "+z"}) + "\n", encoding="utf-8")
        (new / STAMPS).write_text("".join(stamps), encoding="utf-8")


def _peeked(views: Iterable[View]) -> tuple[View, Iterator[View]]:
    rest = iter(views)
    first = next(rest, None)
    if first is None:
        raise RecordingError("a recording needs at least one view, got none")
    return first, itertools.chain([first], rest)


def _alike(views: Iterable[View], first: View) -> Iterator[View]:
    for index, view in enumerate(views):
        if view.camera != first.camera or (view.depth is None) != (first.depth is None):
            raise RecordingError(f"view {index} has another camera than the first, or only one of them has depth")
        yield view
