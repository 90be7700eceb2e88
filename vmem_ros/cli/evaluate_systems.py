"""Compare spatial memories with the networks that were trained to draw what they do not know.

In houses each begins with one view and is asked for a loop and for a walk out and back; of recordings each observes
every other frame and is asked at the others. Beside them stand the first network without a memory, and a memory without
a network. Writes tables, figures and sheets after every place, so that Ctrl-C keeps what has been measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
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
from vmem_ros.errors import ModelError
from vmem_ros.evaluation.ablation_run import AblationConfig, evaluate_worlds
from vmem_ros.evaluation.memory_trial import MemoryTrial, recorded_place
from vmem_ros.evaluation.registry import load_metric
from vmem_ros.evaluation.system_report import MARKS, SHORT_MARKS, SystemReport
from vmem_ros.evaluation.systems import SYSTEMS, LoadedSystem
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import PointMapEstimator
from vmem_ros.recordings import LAYOUTS
from vmem_ros.reporting.tables import Value
from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options
from vmem_ros.world import World

#: What ``--quick`` replaces: to see in a minute that it works.
_QUICK = {"houses": 1, "poses": 2, "loop": 2, "views": 2}
_ENGINES = list(dict.fromkeys(system.engine for system in SYSTEMS))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem evaluate systems``."""
    parser.add_argument("recordings", type=Path, nargs="*", metavar="PATH", help=f"recordings: {', '.join(LAYOUTS)}")
    parser.add_argument("--houses", type=int, default=8, help="evaluation houses (default 8)")
    parser.add_argument("--poses", type=int, default=8, help="on the way out, and as many back (default 8)")
    parser.add_argument("--loop", type=int, default=8, help="poses of the loop (default 8)")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures of houses in pixels (default 128)")
    parser.add_argument(
        "--views", type=int, default=24, help="frames of a recording asked for at most, unless --frames"
    )
    parser.add_argument("--width", type=int, default=256, help="width of recorded pictures, at most (default 256)")
    add_recording_options(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ENGINE=FOLDER",
        help=f"a model of your own in place of the package's, for one of {', '.join(_ENGINES)}; repeatable",
    )
    add_metric_option(parser)
    parser.add_argument("--device", default="cpu", help="where networks and memories live: cpu, cuda or cuda:N")
    parser.add_argument("--pictures", type=int, default=4, help="poses on the sheet of a recording (default 4)")
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, to see that it works: {_QUICK}")
    add_report_options(parser, out="vmem_systems")


def run(args: argparse.Namespace) -> None:
    """Compare systems.

    :raises RecordingError: a recording cannot be read.
    :raises ValueError: a number out of range, or a page without the marks.
    :raises ModelError: a model, a memory or a metric cannot be loaded.
    """
    if args.quick:
        vars(args).update(_QUICK)
    _check(args)
    torch.set_num_threads(args.threads)
    for name in args.metric:
        load_metric(name)
    models = _models(args)
    systems = {
        system.name: LoadedSystem.of(system, model=models.get(system.engine), device=args.device) for system in SYSTEMS
    }
    parameters = {name: system.parameters for name, system in systems.items()}
    report = SystemReport(args.out, _settings(args), parameters, pictures=args.pictures)
    for path in args.recordings:
        _judge_recording(path, systems, report, args)
        _write(report, args)
    config = AblationConfig(poses=args.poses, loop=args.loop, size=args.size)
    total = args.houses * len(systems) * config.views
    with tqdm(total=total, unit="view", desc="houses", smoothing=0.02, disable=None if total else True) as bar:
        for seed in EVALUATION_SEEDS[: args.houses]:
            _judge_house(seed, systems, report, config, bar.update)
            _write(report, args)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


def _judge_recording(
    path: Path, systems: Mapping[str, LoadedSystem], report: SystemReport, args: argparse.Namespace
) -> None:
    with recording_from_options(path, args) as recording:
        place = recorded_place(recording, views=args.views if args.frames is None else None)
    # Nothing is written back, so nobody asks for the depth of what was drawn.
    trial = MemoryTrial(place, {name: system.world(MemoryDepth()) for name, system in systems.items()})
    for _ in tqdm(trial.observe(), f"{place.title}: observing", len(place.observed), unit="frame", leave=False):
        pass
    report.add_recording(trial, list(tqdm(trial.ask(), f"{place.title}: asking", len(place.asked), unit="frame")))


def _judge_house(
    seed: int,
    systems: Mapping[str, LoadedSystem],
    report: SystemReport,
    config: AblationConfig,
    on_view: Callable[[], None],
) -> None:
    last: dict[str, World] = {}

    def world_of(name: str) -> Callable[[PointMapEstimator], World]:
        def empty(estimator: PointMapEstimator) -> World:
            last[name] = systems[name].world(estimator)
            return last[name]

        return empty

    result = evaluate_worlds(seed, {name: world_of(name) for name in systems}, None, config, on_view=on_view)
    view_kb = {name: 1e-3 * world.memory.nbytes / len(world.memory) for name, world in last.items()}
    report.add_house(result, view_kb)


def _write(report: SystemReport, args: argparse.Namespace) -> None:
    report.write()
    for page in args.markdown:
        report.write_page(page)


def _models(args: argparse.Namespace) -> dict[str, str]:
    models = {}
    for entry in args.model:
        engine, separator, folder = entry.partition("=")
        if not separator or engine not in _ENGINES:
            raise ModelError(f"--model is ENGINE=FOLDER with one of {', '.join(_ENGINES)}, got {entry!r}")
        models[engine] = folder
    return models


def _settings(args: argparse.Namespace) -> dict[str, Value]:
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "systems": "; ".join(f"{s.name}: memory {s.memory}, engine {s.engine}" for s in SYSTEMS),
        "houses": f"{args.houses} that no model was trained on, {args.poses} poses out and as many back, {args.loop} "
        f"round a room, {args.size} x {args.size}",
        "depth of new views": "exact, that of the house",
        "threads of torch": args.threads,
    }


def _check(args: argparse.Namespace) -> None:
    check_least(
        args, {"houses": 0, "poses": 1, "loop": 2, "size": 16, "width": 16, "views": 1, "pictures": 1, "threads": 1}
    )
    check_houses(args.houses)
    if not args.houses and not args.recordings:
        raise ValueError("nothing to compare systems on: give a recording, or --houses 1 or more")
    check_pages(args.markdown, (MARKS, SHORT_MARKS))
