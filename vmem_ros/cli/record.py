"""Record a walk through a procedural house as a hand-held RGB-D camera would: with noise, drift and pose errors.

Writes a folder of posed images, or a ROS 2 bag; both are recordings for `vmem explore --recording`.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from vmem_ros.evaluation.house_recording import HouseWalk, record_house
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.recordings.rgbd_bag import write_bag
from vmem_ros.recordings.sensor_noise import DEVICES

_DEFAULTS = {field.name: field.default for field in fields(HouseWalk)}
_LAYOUTS = ("folder", "mcap", "sqlite3")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem record``."""
    parser.add_argument("house", type=int, metavar="SEED", help="the house")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the recording; one that is there is replaced"
    )
    parser.add_argument("--layout", choices=_LAYOUTS, default=_LAYOUTS[0], help=f"default {_LAYOUTS[0]}")
    _add(parser, "frames", int, "of the recording, ten a second")
    _add(parser, "width", int, "of the pictures in pixels")
    _add(parser, "fov-deg", float, "horizontal field of view")
    _add(parser, "step-m", float, "between frames; turning counts as moving")
    parser.add_argument("--sensor", choices=tuple(DEVICES), default=_DEFAULTS["sensor"], help="of depth")
    _add(parser, "translation-m", float, "root mean square error of the positions")
    _add(parser, "rotation-deg", float, "root mean square error of the rotations")
    _add(parser, "exposure-ev", float, "standard deviation of the exposure in stops")
    _add(parser, "balance", float, "standard deviation of the gains of red and blue")
    _add(parser, "noise", float, "standard deviation of a mid-gray pixel in levels of 255")
    _add(parser, "shutter", float, "share of the time between frames for which light is gathered")
    _add(parser, "seed", int, "of the way and of all errors")


def run(args: argparse.Namespace) -> None:
    """Write the recording."""
    walk = HouseWalk(**{name: getattr(args, name) for name in _DEFAULTS})
    views = tqdm(record_house(walk), total=walk.frames, desc="recording", unit="frame")
    if args.layout == "folder":
        write_posed_folder(args.out, views)
    else:
        write_bag(args.out, views, storage=args.layout)
    print(f"wrote {args.out}")


def _add(parser: argparse.ArgumentParser, name: str, kind: type, meaning: str) -> None:
    default = _DEFAULTS[name.replace("-", "_")]
    parser.add_argument(f"--{name}", type=kind, default=default, help=f"{meaning} (default {default:g})")
