"""A sequence in the layout of TUM's RGB-D benchmark, which many tools write.

- ``rgb.txt`` and ``depth.txt``: rows ``seconds file``; depth is registered to colour, 16 bits, 5000 a metre, 0 unknown,
- ``groundtruth.txt``: rows ``seconds tx ty tz qx qy qz qw``, pose of the colour camera in the world, OpenCV's axes,
- ``#`` begins a comment.

The layout has no place for intrinsics, so they are to be given: a file, numbers, or the name of a camera of TUM's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from vmem_ros.errors import FrameError, InvalidPoseError, RecordingError
from vmem_ros.geometry import pose_from
from vmem_ros.geometry.transform_tree import TransformTree
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.association import partners
from vmem_ros.recordings.image_files import FrameFiles, ImageFiles, image_size
from vmem_ros.recordings.lens import FORMS, Lens, lens_of, read_intrinsics
from vmem_ros.recordings.pose_gaps import Policy, PoseGaps

LAYOUT = "tum"
#: Cameras of the benchmark: fx fy cx cy and distortion as its site lists them, for 640 x 480.
CAMERAS: dict[str, tuple[float, ...]] = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "freiburg2": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
    "ros_default": (525.0, 525.0, 319.5, 239.5),
}
RGB, DEPTH, POSES, INTRINSICS = "rgb.txt", "depth.txt", "groundtruth.txt", "intrinsics.txt"
_SIZE = (640, 480)
_WORLD, _CAMERA = "world", "camera"


@dataclass(frozen=True)
class TumOptions:
    """Options of the layout.

    :param intrinsics: name of one of :data:`CAMERAS`; a text file (relative to the folder); or the numbers themselves,
        see :data:`~vmem_ros.recordings.lens.FORMS`. Empty: the folder's ``intrinsics.txt``.
    :param depth_factor: units of depth a metre.
    :param tolerance_s: how far apart in time colour and depth of one frame may be, and a frame from the nearest pose
        where poses end.
    :param max_gap_s: between two poses that are farther apart, nothing is known.
    :param gaps: what becomes of frames without a pose: ``error``, or ``skip``, as the benchmark's own tools do.
    """

    intrinsics: str | Sequence[float] = ""
    depth_factor: float = 5000.0
    tolerance_s: float = 0.02
    max_gap_s: float = 0.5
    gaps: Policy = "skip"


def is_tum(path: Path) -> bool:
    """Return whether a path looks like one."""
    return (path / RGB).is_file()


def open_tum(options: TumOptions, *, path: Path, on_step: OnStep | None = None) -> ImageFiles:
    """Return the frames of a sequence: each colour image with the depth nearest in time and the pose at its time.

    :param on_step: called with the number of frames looked at so far and of all.
    :raises RecordingError: something is missing, damaged or does not fit the rest.
    """
    if not options.depth_factor > 0:
        raise RecordingError(f"depth_factor must be positive, got {options.depth_factor:g}")
    colors = _listed(path / RGB)
    poses = _poses(path / POSES, options)
    lens = _lens(path, options.intrinsics, image_size(colors[0][1]))
    has_depth = (path / DEPTH).is_file()
    depths = _listed(path / DEPTH) if has_depth else []
    partner = partners([s for s, _ in colors], [s for s, _ in depths], tolerance_s=options.tolerance_s)
    frames, without_depth, gaps = [], 0, PoseGaps(options.gaps)
    for index, ((stamp_ns, image), number) in enumerate(zip(colors, partner, strict=True)):
        if on_step is not None:
            on_step(index + 1, len(colors))
        if has_depth and number < 0:
            without_depth += 1
            continue
        try:
            T = poses.lookup(_WORLD, _CAMERA, stamp_ns)
        except FrameError as error:
            gaps.add(index, image.stem, str(error))
            continue
        frames.append(FrameFiles(image.stem, image, depths[number][1] if has_depth else None, T, stamp_ns))
    notes = gaps.notes(len(colors))
    if without_depth:
        notes.append(f"left out {without_depth} of {len(colors)} frames without depth within {options.tolerance_s:g} s")
    return ImageFiles(LAYOUT, frames, lens, metres_per_unit=1 / options.depth_factor, notes=notes)


def _lens(path: Path, intrinsics: str | Sequence[float], size: tuple[int, int]) -> Lens:
    if not isinstance(intrinsics, str):
        return lens_of(intrinsics, size, whose="intrinsics")
    if intrinsics in CAMERAS:
        if size != _SIZE:
            raise RecordingError(f"{intrinsics} is calibrated for {_SIZE[0]} x {_SIZE[1]}, not {size[0]} x {size[1]}")
        return lens_of(CAMERAS[intrinsics], size, whose=intrinsics)
    file = path / (intrinsics or INTRINSICS)
    if not file.is_file():
        raise RecordingError(
            f"{path} says nothing of its camera: put {INTRINSICS} beside {RGB} ({FORMS}), or give intrinsics=: the "
            f"name of another file, [fx, fy, cx, cy], or one of {', '.join(CAMERAS)}"
        )
    return lens_of(read_intrinsics(file), size, whose=str(file))


def _listed(path: Path) -> list[tuple[int, Path]]:
    """Return time in nanoseconds and file of each row, in the order of time."""
    out = []
    for row in _rows(path):
        if len(row) != 2:
            raise RecordingError(f"{path} has the row {' '.join(row)!r}: write 'seconds file'")
        out.append((_nanoseconds(row[0], path), path.parent / row[1]))
    if not out:
        raise RecordingError(f"{path} lists nothing")
    return sorted(out)


def _poses(path: Path, options: TumOptions) -> TransformTree:
    tree = TransformTree(keep_s=math.inf, max_gap_s=options.max_gap_s, slack_s=options.tolerance_s)
    rows = _rows(path)
    if not rows:
        raise RecordingError(f"{path} holds no pose")
    for row in rows:
        try:
            numbers = np.array(row[1:], np.float64)
            T = pose_from(numbers[:3], numbers[3:])
        except (InvalidPoseError, ValueError) as error:
            raise RecordingError(
                f"{path} has the row {' '.join(row)!r}: write 'seconds tx ty tz qx qy qz qw' ({error})"
            ) from error
        tree.add(_WORLD, _CAMERA, T, _nanoseconds(row[0], path))
    return tree


def _rows(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RecordingError(f"cannot read {path}: {error}") from error
    return [words for line in lines if (words := line.partition("#")[0].replace(",", " ").split())]


def _nanoseconds(text: str, path: Path) -> int:
    # Seconds since 1970 have more digits than a float64 has nanoseconds.
    try:
        return int(Decimal(text) * 1_000_000_000)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise RecordingError(f"{path} has the time {text!r}: write seconds, such as 1305031102.175304") from error
