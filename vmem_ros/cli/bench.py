"""Measure what the camera costs on this machine: memory by size and by history, picture quality, estimated depth
on long walks, preview rate, the diffusion generator with random weights, memory beside a TSDF on a recording of a real
camera, and, where ROS 2 is installed, message packing, latencies between processes over DDS, and answers while very
many poses come.

Prints tables; writes JSON, Markdown and plots where asked, after every benchmark, so that an interrupted run leaves
what it has measured.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from vmem_ros.benchmarking.report import Results, check_page
from vmem_ros.benchmarking.result import BenchmarkResult, Settings
from vmem_ros.kernels import default_threads
from vmem_ros.memory import DEFAULT_MEMORY, MEMORIES
from vmem_ros.pretrained.devices import choose_device
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options

#: Benchmark: its module, with ``run(settings) -> BenchmarkResult``.
BENCHMARKS = {
    "memory": "vmem_ros.benchmarking.surfel_scaling",
    "history": "vmem_ros.benchmarking.memory_growth",
    "quality": "vmem_ros.benchmarking.surfel_quality",
    "depth": "vmem_ros.benchmarking.depth",
    "preview": "vmem_ros.benchmarking.surfel_preview",
    "generator": "vmem_ros.benchmarking.generator",
    "recorded": "vmem_ros.benchmarking.recorded",
    "packing": "vmem_ros.nodes.benchmarks.packing",
    "dds": "vmem_ros.nodes.benchmarks.dds",
    "seeds": "vmem_ros.nodes.benchmarks.seeds",
    "load": "vmem_ros.nodes.benchmarks.load",
}
_NEED_ROS = ("packing", "dds", "seeds", "load")
_RECORDED = "recorded"
_GET_ROS = (
    "needs ROS 2 and the built messages: run `make setup` in the repository and then `tools/run.sh --local jazzy vmem "
    "bench`, or build vmem_ros in a ROS 2 workspace and source its setup file"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem bench``."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"what to measure: {', '.join(BENCHMARKS)}; {_RECORDED} wants the path of a recording behind it",
    )
    parser.add_argument(
        "--all", action="store_true", help="everything that this machine can (three quarters of an hour)"
    )
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", dest="effort", action="store_const", const="quick", help="tiny sizes, in seconds")
    effort.add_argument(
        "--full",
        dest="effort",
        action="store_const",
        const="full",
        help="up to 10,000 views, a compiled network; 8 GB, an hour",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument(
        "--device", default=device, help=f"where memory and generator live: cpu, cuda or cuda:N (here: {device})"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=default_threads(),
        help="threads of torch (default: all cores but one, at least one)",
    )
    parser.add_argument(
        "--memory",
        default=DEFAULT_MEMORY,
        help=f"of history: {', '.join(MEMORIES)}, or MODULE:FACTORY of your own (default {DEFAULT_MEMORY})",
    )
    parser.add_argument("--depth-model", metavar="FOLDER", help="depth network (default: that of the package)")
    parser.add_argument(
        "--busy", action="store_true", help="of memory: also with a busy process on every other core, call by call"
    )
    _add_options_of_recorded(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw plots into FOLDER")
    parser.set_defaults(effort="normal")


def _add_options_of_recorded(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--width", type=int, default=384, help="of recorded pictures in pixels, at most (default 384)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="passes over the recording (default 1)")
    parser.add_argument(
        "--voxel", type=float, metavar="METRES", help="of the TSDF beside it (default: as vmem evaluate recorded)"
    )
    add_recording_options(parser, frames="all")


def run(args: argparse.Namespace) -> None:
    """Run the chosen benchmarks one after the other.

    :raises ValueError: an unknown name, none at all, or one that needs ROS 2 where there is none.
    :raises RecordingError: the recording cannot be read.
    """
    names, recordings = _chosen(args)
    for name, value in (("threads", args.threads), ("repeat", args.repeat)):
        if value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}")
    if args.voxel is not None and not args.voxel > 0:
        raise ValueError(f"--voxel must be positive, got {args.voxel:g}")
    torch.set_num_threads(args.threads)
    choose_device(args.device)
    if args.markdown:
        check_page(args.markdown, names)
    with recording_from_options(recordings[0], args) if recordings else nullcontext() as recording:
        settings = Settings(
            effort=args.effort,
            device=args.device,
            depth_model=args.depth_model,
            memory=args.memory,
            busy=args.busy,
            recording=recording,
            passes=args.repeat,
            voxel_m=args.voxel,
        )
        _run(names, settings, args)


def _run(names: Sequence[str], settings: Settings, args: argparse.Namespace) -> None:
    results = Results(f"vmem bench {' '.join(sys.argv[2:])}".rstrip())
    print("\n".join(f"{k}: {v}" for k, v in results.machine.items()), end="\n\n")
    for name in names:
        start = time.monotonic()
        outcome: BenchmarkResult = importlib.import_module(BENCHMARKS[name]).run(settings)
        results.outcomes[name], results.seconds[name] = outcome, time.monotonic() - start
        print("\n".join(table.markdown() for table in outcome.tables), flush=True)
        _write(results, args)
    for budget in (b.row() for o in results.outcomes.values() for b in o.budgets):
        print(f"{budget['what']}: {budget['measured']}, budget {budget['budget']}")
    print(f"\n{', '.join(f'{n} {s:.0f} s' for n, s in results.seconds.items())}")


def _chosen(args: argparse.Namespace) -> tuple[list[str], list[Path]]:
    """Return the names to run, in the order of :data:`BENCHMARKS`, and the recording, if any."""
    others = [name for name in args.names if name not in BENCHMARKS]
    recordings = others if _RECORDED in args.names else []
    if _RECORDED in args.names and len(others) != 1:
        raise ValueError(f"{_RECORDED} needs one recording, got {len(others)}: vmem bench {_RECORDED} PATH")
    if (others and not recordings) or not (args.names or args.all):
        given = f"unknown: {', '.join(others)}" if others else "nothing to measure"
        raise ValueError(f"{given}; name one or more of {', '.join(BENCHMARKS)}, or give --all")
    ros = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("vmem_ros.msg") is not None
    if not ros and (asked := [name for name in args.names if name in _NEED_ROS]):
        raise ValueError(f"{' and '.join(asked)} {_GET_ROS}")
    if args.all and not ros:
        print(f"left out: {' and '.join(_NEED_ROS)} {_GET_ROS}\n")
    if args.all and not recordings:
        print(f"left out: {_RECORDED} needs a recording: vmem bench --all {_RECORDED} PATH\n")
    wanted = [name for name in BENCHMARKS if args.all or name in args.names]
    able = [name for name in wanted if (ros or name not in _NEED_ROS) and (recordings or name != _RECORDED)]
    return able, [Path(path) for path in recordings]


def _write(results: Results, args: argparse.Namespace) -> None:
    if args.json:
        results.write_json(args.json)
    if args.markdown:
        results.write_markdown(args.markdown)
    if args.plots:
        results.draw(args.plots)
