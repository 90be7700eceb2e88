"""The command-line options that say how a recording is read."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.recordings import AXES, LAYOUTS, Recording, frames_from_text, open_recording
from vmem_ros.recordings.opening import AUTO


def add_recording_options(
    parser: argparse.ArgumentParser, *, frames: str = "evenly spread, as many as --views need"
) -> None:
    """Add ``--layout``, ``--frames``, ``--up``, ``--max-depth`` and ``--recording-option``.

    :param frames: which frames are taken where nothing is said, in words.
    """
    group = parser.add_argument_group("recordings")
    group.add_argument(
        "--layout", default=AUTO, help=f"{', '.join(LAYOUTS)} (default {AUTO}: what the files look like)"
    )
    group.add_argument(
        "--frames",
        metavar="START:STOP:STEP",
        help=f"which frames, such as 0:190:4 (default: {frames})",
    )
    group.add_argument(
        "--up",
        choices=tuple(AXES),
        help="axis of its world that points up, written as --up=-y (default: as the layout says, or as the cameras are "
        "held)",
    )
    group.add_argument("--max-depth", type=float, metavar="METRES", help="depth beyond it is not believed")
    group.add_argument(
        "--recording-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the layout, such as image_topic=/camera/image_raw of a bag; may be repeated",
    )


def recording_from_options(path: Path, args: argparse.Namespace) -> Recording:
    """Open a recording with the options of :func:`add_recording_options`, and ``--width``.

    :raises RecordingError: see :func:`~vmem_ros.recordings.open_recording`.
    """
    with tqdm(desc=f"opening {path.name}", leave=False) as bar:

        def on_step(step: int, steps: int) -> None:
            bar.total = steps
            bar.update(step - bar.n)

        return open_recording(
            path,
            layout=args.layout,
            frames=slice(None) if args.frames is None else frames_from_text(args.frames),
            width=args.width,
            max_depth_m=args.max_depth,
            up=args.up,
            on_step=on_step,
            **options_from_pairs(args.recording_option),
        )
