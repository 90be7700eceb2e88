"""A sequence in the layout of Microsoft's 7-Scenes: one folder of ``frame-NNNNNN.color.png``, ``.depth.png`` and
``.pose.txt``.

Depth is 16 bits in millimetres, 65535 unknown; poses are 4 x 4 camera-to-world, axes as OpenCV's. That data set comes
without a calibration: its authors give a focal length of 585 pixels and the centre of the picture, (320, 240) of 640 x
480, as its principal point. Its colour and depth are not registered to each other either, so that they may differ by
a few pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmem_ros.errors import RecordingError
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.image_files import FrameFiles, ImageFiles, image_size
from vmem_ros.recordings.lens import lens_of
from vmem_ros.recordings.pose_files import read_pose
from vmem_ros.recordings.pose_gaps import Policy, PoseGaps

LAYOUT = "seven_scenes"
_COLOR = ".color.png"
_UNKNOWN = 65535
_SIZE, _FOCAL = (640, 480), 585.0


@dataclass(frozen=True)
class SevenScenesOptions:
    """Options of the layout.

    :param intrinsics: of the colour camera: fx fy cx cy and perhaps distortion, see
        :data:`~vmem_ros.recordings.lens.FORMS`; empty: those that the authors of 7-Scenes give.
    :param gaps: what becomes of frames whose pose is not finite: ``error`` or ``skip``.
    """

    intrinsics: Sequence[float] = ()
    gaps: Policy = "error"


def is_seven_scenes(path: Path) -> bool:
    """Return whether a path looks like one."""
    return next(path.glob(f"*{_COLOR}"), None) is not None


def open_seven_scenes(options: SevenScenesOptions, *, path: Path, on_step: OnStep | None = None) -> ImageFiles:
    """Return the frames of a sequence, in the order of their names.

    :param on_step: called with the number of frames looked at so far and of all.
    :raises RecordingError: something is missing, damaged or does not fit the rest.
    """
    images = sorted(path.glob(f"*{_COLOR}"))
    if not images:
        raise RecordingError(f"{path} holds no *{_COLOR}")
    size = image_size(images[0])
    notes = []
    if options.intrinsics:
        lens = lens_of(options.intrinsics, size, whose="intrinsics")
    elif size == _SIZE:
        # The centre of the picture lies half a pixel before the integer that OpenCV gives the pixel behind it.
        centre = [side / 2 - 0.5 for side in size]
        lens = lens_of([_FOCAL, _FOCAL, *centre], size, whose="the intrinsics of 7-Scenes")
        notes.append(f"intrinsics are those of 7-Scenes: focal length {_FOCAL:g} pixels, centre of the picture")
    else:
        raise RecordingError(
            f"{images[0]} is {size[0]} x {size[1]}, and 7-Scenes is {_SIZE[0]} x {_SIZE[1]}: give intrinsics="
            "'[fx, fy, cx, cy]'"
        )
    frames, gaps = [], PoseGaps(options.gaps)
    for index, image in enumerate(images):
        if on_step is not None:
            on_step(index + 1, len(images))
        name = image.name.removesuffix(_COLOR)
        depth = path / f"{name}.depth.png"
        if not depth.is_file():
            raise RecordingError(f"{image} has no depth: {depth} is missing")
        T = read_pose(path / f"{name}.pose.txt")
        if T is None:
            gaps.add(index, name, "its numbers are not finite")
        else:
            frames.append(FrameFiles(name, image, depth, T))
    notes += gaps.notes(len(images))
    return ImageFiles(LAYOUT, frames, lens, metres_per_unit=1e-3, unknown=(_UNKNOWN,), notes=notes)
