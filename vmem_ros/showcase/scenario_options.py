"""The command-line options that choose a scenario, shared by ``vmem explore`` and the processes of the demo."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from vmem_ros.recordings import LAYOUTS
from vmem_ros.reporting.tables import Value
from vmem_ros.scenes.house import HOUSE_FOV_DEG
from vmem_ros.showcase.camera_paths import TrajectoryName
from vmem_ros.showcase.photo import DEFAULT_FOV_DEG, read_photo
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options
from vmem_ros.showcase.scenario import Scenario, house_scenario, photo_scenario, recording_scenario


def add_scenario_options(parser: argparse.ArgumentParser, *, default_house: int | None = None) -> None:
    """Add ``--house``, ``--image``, ``--recording`` and the options of each.

    :param default_house: the house to visit when none of them is given; ``None``: one must be.
    """
    source = parser.add_mutually_exclusive_group(required=default_house is None)
    source.add_argument("--image", type=Path, help="a photo")
    source.add_argument(
        "--recording",
        type=Path,
        metavar="PATH",
        help=f"a recording of a real camera: {', '.join(LAYOUTS)}; every other frame is observed, the others asked for",
    )
    source.add_argument(
        "--house",
        type=int,
        metavar="SEED",
        default=default_house,
        help="a procedural house, with truth" + ("" if default_house is None else f" (default {default_house})"),
    )
    parser.add_argument(
        "--depth",
        type=Path,
        help="depth of the photo: 16-bit PNG or TIFF in millimetres, or float metres in .npy/.npz; without it, it is "
        "estimated",
    )
    parser.add_argument(
        "--rgb", action="store_true", help="in a house or recording, the robot has no depth camera: it is estimated"
    )
    parser.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help=f"horizontal field of view (default: of a photo what its EXIF says, else {DEFAULT_FOV_DEG:g} along its "
        f"longer side; {HOUSE_FOV_DEG:g} in a house)",
    )
    parser.add_argument(
        "--trajectory",
        choices=get_args(TrajectoryName),
        default="loop",
        help="path of the camera around a photo (default loop); in a house it is a loop through two rooms",
    )
    parser.add_argument(
        "--stops",
        type=int,
        default=4,
        help="stops of the robot in a house, each with three views; fewer leave more to the generator (default 4)",
    )
    parser.add_argument("--views", type=int, default=48, help="poses along the path (default 48)")
    parser.add_argument("--width", type=int, default=384, help="width of the views in pixels, at most (default 384)")
    add_recording_options(parser)


def scenario_from_options(args: argparse.Namespace) -> Scenario:
    """Return the scenario that the options describe.

    :raises InvalidImageError: the photo or its depth cannot be used.
    :raises RecordingError: the recording cannot be used.
    :raises ValueError: options that do not go together.
    """
    if args.image is None and args.depth is not None:
        raise ValueError("--depth is that of a photo: give its --image, too")
    if args.recording is not None:
        if args.fov is not None:
            raise ValueError(
                "--fov is that of a photo or in a house: a recording has intrinsics, or an option for them"
            )
        views = args.views if args.frames is None else None
        return recording_scenario(recording_from_options(args.recording, args), views=views, has_depth=not args.rgb)
    if args.image is None:
        return house_scenario(
            args.house,
            views=args.views,
            width=args.width,
            fov_deg=args.fov or HOUSE_FOV_DEG,
            stops=args.stops,
            has_depth=not args.rgb,
        )
    if args.rgb:
        raise ValueError("--rgb is for the robot in a house: for a photo without depth, leave --depth away")
    photo = read_photo(args.image, args.depth, fov_deg=args.fov, max_width=args.width)
    return photo_scenario(photo, args.trajectory, views=args.views, title=f"Around {args.image.name}")


def describe_options(args: argparse.Namespace, scenario: Scenario) -> dict[str, Value]:
    """Return the options, and what is to be known of their scenario, as settings of a report."""
    if args.recording is not None:
        scene, path = args.recording.name, "every other frame"
        depth = "measured" if scenario.has_depth else "estimated"
    elif args.image is None:
        scene, path = f"house {args.house}", "loop through two rooms"
        depth = "estimated" if args.rgb else "measured"
    else:
        scene, path = args.image.name, args.trajectory
        depth = "estimated" if args.depth is None else args.depth.name
    notes = {"notes": "; ".join(scenario.notes)} if scenario.notes else {}
    return {"scene": scene, "depth of what the camera took": depth, "path": path, **notes}
