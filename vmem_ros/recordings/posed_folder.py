"""A folder of posed RGB-D images, one file each: what scanners export and many small tools read.

- ``color/NAME.jpg`` (or png),
- ``depth/NAME.png``, 16 bits, 0 unknown, registered to colour; no such folder if there is no depth,
- ``poses/NAME.txt``, 4 x 4 camera-to-world, axes as OpenCV's (x right, y down, z forward), metres,
- ``intrinsics.txt``, see :data:`~vmem_ros.recordings.lens.FORMS`,
- ``meta.json``, if anything differs from: ``{"depth_scale_m": 0.001}``; ``"up": "+z"`` says which axis points up,
- ``stamps.txt``, if times are known: a row ``NAME nanoseconds`` for each frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmem_ros.errors import RecordingError
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.image_files import FrameFiles, ImageFiles, image_size
from vmem_ros.recordings.lens import lens_of, read_intrinsics
from vmem_ros.recordings.pose_files import read_pose
from vmem_ros.recordings.pose_gaps import Policy, PoseGaps

LAYOUT = "posed_folder"
COLOR, DEPTH, POSES, INTRINSICS, META, STAMPS = "color", "depth", "poses", "intrinsics.txt", "meta.json", "stamps.txt"
MILLIMETRE = 1e-3


@dataclass(frozen=True)
class PosedFolderOptions:
    """Options of the layout.

    :param gaps: what becomes of frames whose pose is not finite: ``error`` or ``skip``.
    """

    gaps: Policy = "error"


def is_posed_folder(path: Path) -> bool:
    """Return whether a path looks like one."""
    return (path / COLOR).is_dir() and (path / POSES).is_dir()


def open_posed_folder(options: PosedFolderOptions, *, path: Path, on_step: OnStep | None = None) -> ImageFiles:
    """Return the frames of a folder, in the order of their names; names that are numbers are in that of numbers.

    :param on_step: called with the number of frames looked at so far and of all.
    :raises RecordingError: something is missing, damaged or does not fit the rest.
    """
    images = sorted((file for file in (path / COLOR).glob("*.*") if not file.name.startswith(".")), key=_order)
    if not images:
        raise RecordingError(f"{path / COLOR} holds no pictures")
    lens = lens_of(read_intrinsics(path / INTRINSICS), image_size(images[0]), whose=str(path / INTRINSICS))
    meta, stamps = _meta(path / META), _stamps(path / STAMPS)
    has_depth = (path / DEPTH).is_dir()
    frames, gaps = [], PoseGaps(options.gaps)
    for index, image in enumerate(images):
        if on_step is not None:
            on_step(index + 1, len(images))
        depth = path / DEPTH / f"{image.stem}.png" if has_depth else None
        if depth is not None and not depth.is_file():
            raise RecordingError(f"{image} has no depth: {depth} is missing")
        T = read_pose(path / POSES / f"{image.stem}.txt")
        if T is None:
            gaps.add(index, image.stem, "its numbers are not finite")
        elif stamps and image.stem not in stamps:
            raise RecordingError(f"{path / STAMPS} has no time of {image.stem}")
        else:
            frames.append(FrameFiles(image.stem, image, depth, T, stamps.get(image.stem, 0)))
    return ImageFiles(
        LAYOUT,
        frames,
        lens,
        metres_per_unit=meta.get("depth_scale_m", MILLIMETRE),
        up=meta.get("up"),
        notes=gaps.notes(len(images)),
    )


def _order(image: Path) -> tuple[int, str]:
    return (int(image.stem) if image.stem.isdigit() else -1, image.name)


def _meta(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
    scale = meta.get("depth_scale_m", MILLIMETRE) if isinstance(meta, dict) else None
    if not isinstance(scale, int | float) or not 0 < scale < 1:
        raise RecordingError(f"{path} must be an object whose depth_scale_m is metres a unit, such as 0.001: {meta!r}")
    return meta


def _stamps(path: Path) -> dict[str, int]:
    """Return the times in a file by name; none if there is no file."""
    if not path.is_file():
        return {}
    try:
        rows = (row.split() for row in path.read_text(encoding="utf-8").splitlines())
        return {name: int(stamp) for name, stamp in (row for row in rows if row)}
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read {path}: {error}; its rows should be 'NAME nanoseconds'") from error
