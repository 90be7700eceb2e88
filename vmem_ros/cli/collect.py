"""Collect pictures of places into a library, from which the engine `vmem` borrows details for what nobody saw."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem collect``."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="FILE", help="file of the library, for the option `exemplars`")
    where.add_argument("--ship", action="store_true", help="replace the library of the package")
    parser.add_argument(
        "--recording", type=Path, nargs="+", metavar="PATH", help="of a real camera; default: procedural houses"
    )
    parser.add_argument("--pictures", type=int, default=1200, help="at most so many (default 1200)")
    parser.add_argument("--per-house", type=int, default=12, help="pictures of one house (default 12)")
    parser.add_argument("--every", type=int, default=10, help="take each so many-th frame of a recording (default 10)")
    parser.add_argument("--side", type=int, default=128, help="in pixels (default 128)")
    parser.add_argument("--quality", type=int, default=80, help="of the JPEG files, 1 to 100 (default 80)")


def run(args: argparse.Namespace) -> None:
    """Write the library.

    :raises ModelError: there is no picture, or the library is larger than a package may hold.
    :raises RecordingError: a recording cannot be read.
    """
    for name, least in (("pictures", 1), ("per_house", 1), ("every", 1), ("side", 64), ("quality", 1)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} must be at least {least}, got {getattr(args, name)}")
    # Imports torch, which takes seconds: not before a mistyped number is found.
    from vmem_ros.training.exemplars import house_pictures, save_library, ship_library

    source = _recorded(args) if args.recording else house_pictures(args.side, per_house=args.per_house)
    pictures = iter(tqdm(source, total=None if args.recording else args.pictures, desc="collecting", unit="picture"))
    if args.ship:
        command = shlex.join(["vmem", *sys.argv[1:]])
        size = ship_library(pictures, count=args.pictures, quality=args.quality, command=command)
        print(f"wrote the exemplars of the package: {size / 1e6:.1f} MB")
    else:
        size = save_library(args.out, pictures, count=args.pictures, quality=args.quality)
        print(f"wrote {args.out}: {size / 1e6:.1f} MB; draw with it: -p model.exemplars:={args.out}")


def _recorded(args: argparse.Namespace) -> Iterator[Tensor]:
    from vmem_ros.recordings import open_recording
    from vmem_ros.training.exemplars import square

    for path in args.recording:
        with open_recording(path, frames=slice(None, None, args.every)) as recording:
            for frame in recording.frames():
                yield square(frame.view.image, args.side)
