"""Run the camera node for a while under everything that people do to it, and tell what grew.

A real node, a robot's camera that feeds it, two planners that render, generate, cancel, pause, save, load and ask for
what cannot be, and subscribers that are killed. Prints tables of what the node held and how calls ended; the exit code
is 1 if anything unexpected happened. Everything stays on this machine, and no process is left behind.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import tempfile
from contextlib import nullcontext
from pathlib import Path

from vmem_ros.errors import VmemError
from vmem_ros.generation.engines import DEFAULT_ENGINE
from vmem_ros.reporting.sections import write_sections

_MARKS = ("<!-- vmem soak: begin -->", "<!-- vmem soak: end -->")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem soak``."""
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of what is called when (default 0)")
    parser.add_argument(
        "--engine", default="reprojection", help=f"of the node: reprojection (default), {DEFAULT_ENGINE}, ..."
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep logs, calls and worlds there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables between their marks in FILE")


def run(args: argparse.Namespace) -> None:
    """Run a soak.

    :raises VmemError: something unexpected happened.
    :raises ValueError: no ROS 2 here.
    """
    if importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("vmem_ros.msg") is None:
        raise ValueError(
            "a soak needs ROS 2 and the built messages: `make setup`, then `source tools/env.sh`, or a ROS 2 workspace "
            "whose setup file is sourced"
        )
    if not args.minutes > 0:
        raise ValueError(f"--minutes must be positive, got {args.minutes:g}")
    soak = importlib.import_module("vmem_ros.nodes.soak.run").soak
    kept = nullcontext(str(args.out)) if args.out else tempfile.TemporaryDirectory(prefix="vmem_soak_")
    with kept as folder:
        record = soak(Path(folder), seconds=60 * args.minutes, seed=args.seed, engine=args.engine)
    text = record.markdown()
    print(text)
    if args.markdown:
        write_sections(args.markdown, {_MARKS: text}, title="A soak of the camera node")
    if record.unexpected:
        raise VmemError(f"{len(record.unexpected)} unexpected things happened, see above")
