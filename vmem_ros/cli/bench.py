"""Measure what the camera costs on this machine: memory by size and by history, picture quality, estimated depth
on long walks, preview rate, the diffusion generator with random weights, and, where ROS 2 is installed, message packing
and latencies between processes over DDS.

Prints tables; writes JSON, Markdown and plots where asked, after every benchmark, so that an interrupted run leaves
what it has measured.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from pathlib import Path

import torch

from vmem_ros.benchmarking.report import Results, check_page
from vmem_ros.benchmarking.result import BenchmarkResult, Settings
from vmem_ros.memory import DEFAULT_MEMORY, MEMORIES
from vmem_ros.pretrained.devices import choose_device

#: Benchmark: its module, with ``run(settings) -> BenchmarkResult``.
BENCHMARKS = {
    "memory": "vmem_ros.benchmarking.surfel_scaling",
    "history": "vmem_ros.benchmarking.memory_growth",
    "quality": "vmem_ros.benchmarking.surfel_quality",
    "depth": "vmem_ros.benchmarking.depth",
    "preview": "vmem_ros.benchmarking.surfel_preview",
    "generator": "vmem_ros.benchmarking.generator",
    "packing": "vmem_ros.nodes.benchmarks.packing",
    "dds": "vmem_ros.nodes.benchmarks.dds",
}
_NEED_ROS = ("packing", "dds")
_GET_ROS = (
    "needs ROS 2 and the built messages: run `make setup` in the repository and then `tools/run.sh --local jazzy vmem "
    "bench`, or build vmem_ros in a ROS 2 workspace and source its setup file"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem bench``."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(BENCHMARKS)}")
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
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (default: all)")
    parser.add_argument(
        "--memory",
        default=DEFAULT_MEMORY,
        help=f"of history: {', '.join(MEMORIES)}, or MODULE:FACTORY of your own (default {DEFAULT_MEMORY})",
    )
    parser.add_argument("--depth-model", metavar="FOLDER", help="depth network (default: that of the package)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw plots into FOLDER")
    parser.set_defaults(effort="normal")


def run(args: argparse.Namespace) -> None:
    """Run the chosen benchmarks one after the other.

    :raises ValueError: an unknown name, none at all, or one that needs ROS 2 where there is none.
    """
    names = _chosen(args)
    if args.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {args.threads}")
    torch.set_num_threads(args.threads)
    choose_device(args.device)
    if args.markdown:
        check_page(args.markdown, names)
    settings = Settings(effort=args.effort, device=args.device, depth_model=args.depth_model, memory=args.memory)
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


def _chosen(args: argparse.Namespace) -> list[str]:
    """Return the names to run, in the order of :data:`BENCHMARKS`."""
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown or not (args.names or args.all):
        given = f"unknown: {', '.join(unknown)}" if unknown else "nothing to measure"
        raise ValueError(f"{given}; name one or more of {', '.join(BENCHMARKS)}, or give --all")
    ros = importlib.util.find_spec("rclpy") is not None and importlib.util.find_spec("vmem_ros.msg") is not None
    if not ros and (asked := [name for name in args.names if name in _NEED_ROS]):
        raise ValueError(f"{' and '.join(asked)} {_GET_ROS}")
    if args.all and not ros:
        print(f"left out: {' and '.join(_NEED_ROS)} {_GET_ROS}\n")
    wanted = [name for name in BENCHMARKS if args.all or name in args.names]
    return [name for name in wanted if ros or name not in _NEED_ROS]


def _write(results: Results, args: argparse.Namespace) -> None:
    if args.json:
        results.write_json(args.json)
    if args.markdown:
        results.write_markdown(args.markdown)
    if args.plots:
        results.draw(args.plots)
