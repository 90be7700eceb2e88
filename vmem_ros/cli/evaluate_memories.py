"""Compare memories alone, without any network: what each shows of places it has seen, and what it costs.

All observe the same frames: walks through procedural houses with exact and with noisy depth and poses, and recordings
of real cameras. They are asked at poses between. Writes tables, figures and sheets after every place, so that Ctrl-C
keeps what has been measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from vmem_ros.cli.evaluate_options import (
    add_metric_option,
    add_report_options,
    check_houses,
    check_least,
    check_pages,
)
from vmem_ros.evaluation.house_recording import HouseWalk
from vmem_ros.evaluation.memory_report import MARKS, SHORT_MARKS, MemoryReport
from vmem_ros.evaluation.memory_trial import MemoryTrial, Place, exact, house_place, recorded_place
from vmem_ros.evaluation.registry import load_metric
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.recordings import LAYOUTS
from vmem_ros.reporting.tables import Value
from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.showcase.engine_options import add_sensor_options, sensor_from_options
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options
from vmem_ros.world import default_world

_EXACT, _NOISY = "Houses, exact depth", "Houses, noisy depth and poses"
#: What ``--quick`` replaces: to see in a minute that it works.
_QUICK = {"houses": 1, "walk": 8, "views": 4, "width": 96}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem evaluate memories``."""
    parser.add_argument("recordings", type=Path, nargs="*", metavar="PATH", help=f"recordings: {', '.join(LAYOUTS)}")
    parser.add_argument(
        "--memory",
        action="append",
        default=[],
        help=f"what remembers: {', '.join(MEMORIES)}, or MODULE:FACTORY of your own; repeatable (default: all of ours)",
    )
    parser.add_argument("--houses", type=int, default=4, help="evaluation houses (default 4)")
    parser.add_argument("--walk", type=int, default=64, help="frames of a walk through a house (default 64)")
    parser.add_argument(
        "--views", type=int, default=24, help="frames of a recording asked for at most, unless --frames"
    )
    parser.add_argument("--width", type=int, default=256, help="width of the pictures in pixels, at most (default 256)")
    add_recording_options(parser)
    add_sensor_options(parser)
    add_metric_option(parser)
    parser.add_argument("--device", default="cpu", help="where memories live: cpu, cuda or cuda:N (default cpu)")
    parser.add_argument("--pictures", type=int, default=4, help="poses on a sheet (default 4)")
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, to see that it works: {_QUICK}")
    add_report_options(parser, out="vmem_memories")


def run(args: argparse.Namespace) -> None:
    """Compare memories.

    :raises RecordingError: a recording cannot be read.
    :raises ValueError: a number out of range, or a page without the marks.
    :raises ModelError: a memory or a metric cannot be loaded.
    """
    if args.quick:
        vars(args).update(_QUICK)
    _check(args)
    torch.set_num_threads(args.threads)
    for name in args.metric:
        load_metric(name)
    names = list(dict.fromkeys(args.memory or MEMORIES))
    for name in names:
        # What cannot be made is found now, not after the first walk.
        load_memory(name, device=args.device)
    report = MemoryReport(args.out, _settings(args, names), pictures=args.pictures)
    total = 2 * args.houses + len(args.recordings)
    for place in tqdm(_places(args), "places", total, unit="place"):
        report.add(*_judged(place, names, args))
        report.write()
        for page in args.markdown:
            report.write_page(page)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


def _judged(place: Place, names: list[str], args: argparse.Namespace) -> tuple[MemoryTrial, list]:
    """Return what came out at a place, and the answers."""
    sensor = sensor_from_options(args)
    worlds = {
        name: default_world(memory=load_memory(name, device=args.device), reuse_views=False, sensor=sensor)
        for name in names
    }
    trial = MemoryTrial(place, worlds)
    for _ in tqdm(trial.observe(), f"{place.title}: observing", len(place.observed), unit="frame", leave=False):
        pass
    return trial, list(tqdm(trial.ask(), f"{place.title}: asking", len(place.asked), unit="frame", leave=False))


def _places(args: argparse.Namespace) -> Iterator[Place]:
    for path in args.recordings:
        with recording_from_options(path, args) as recording:
            yield recorded_place(recording, views=args.views if args.frames is None else None)
    for seed in EVALUATION_SEEDS[: args.houses]:
        walk = HouseWalk(seed, frames=args.walk, width=args.width)
        yield house_place(exact(walk), _EXACT)
        yield house_place(walk, _NOISY)


def _settings(args: argparse.Namespace, names: list[str]) -> dict[str, Value]:
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "memories": ", ".join(names),
        "houses": f"{args.houses} that no model was trained on, {args.walk} frames each, {args.width} pixels wide",
        "noise": "that of `vmem record`: structured light, 1 cm, 0.5 degrees, exposure, blur",
        "threads of torch": args.threads,
    }


def _check(args: argparse.Namespace) -> None:
    check_least(args, {"houses": 0, "walk": 2, "views": 1, "width": 16, "pictures": 1, "threads": 1})
    check_houses(args.houses)
    if not args.houses and not args.recordings:
        raise ValueError("nothing to compare memories on: give a recording, or --houses 1 or more")
    check_pages(args.markdown, (MARKS, SHORT_MARKS))
