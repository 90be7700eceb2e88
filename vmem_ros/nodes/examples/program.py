"""What all examples have in common: their options, and how they end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rclpy.utilities import remove_ros_args

from vmem_ros.nodes.interface.names import NAMESPACE
from vmem_ros.nodes.interface.script import exit_status


def run(
    name: str,
    description: str | None,
    work: Callable[[argparse.Namespace], None],
    arguments: Sequence[str] | None,
    *,
    out: str = "",
) -> int:
    """Do the work of an example with its options and return its exit status.

    :param arguments: ``None``: those of the process.
    :param out: default of ``--out``; empty: it writes nothing.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--namespace", default=NAMESPACE, help=f"of the camera node (default {NAMESPACE})")
    parser.add_argument("--width", type=int, default=288, help="of views, in pixels (default 288)")
    if out:
        parser.add_argument("--out", type=Path, default=Path(out), help=f"what it writes (default {out})")
    given = list(sys.argv if arguments is None else [name, *arguments])
    args = parser.parse_args(remove_ros_args(given)[1:])
    torch.set_num_threads(1)  # the camera node needs the processor more
    return exit_status(name, lambda: work(args))
