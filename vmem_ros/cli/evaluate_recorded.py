"""Judge a world by what real cameras saw: every other frame of a recording is observed, the others are asked for.

What memory shows and what engines draw of it stand beside the nearest frame and, where Open3D is installed
(`pip install 'vmem_ros[peers]'`), a TSDF of the same frames. Writes tables, figures of every frame, sheets and plots;
Ctrl-C keeps what has been measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vmem_ros.cli.evaluate_options import add_metric_option, add_report_options, check_least, check_pages
from vmem_ros.evaluation.recorded_report import MARKS, SHORT_MARKS, RecordedReport, RecordedResult
from vmem_ros.evaluation.recorded_run import TSDF, RecordedRun, Split, volume_or_reason
from vmem_ros.evaluation.registry import load_metric
from vmem_ros.evaluation.tsdf import TsdfVolume
from vmem_ros.generation.engines import DEFAULT_ENGINE, load_generator
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.protocols import Generator
from vmem_ros.recordings import LAYOUTS, Recording
from vmem_ros.reporting.tables import Value
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    add_refinement_option,
    add_sensor_options,
    engine_options,
    estimator_from_options,
    estimator_name,
    memory_from_options,
    memory_name,
    sensor_from_options,
)
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options
from vmem_ros.world import World

_BASELINE = "reprojection"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem evaluate recorded``."""
    parser.add_argument("recordings", type=Path, nargs="+", metavar="PATH", help=f"recordings: {', '.join(LAYOUTS)}")
    parser.add_argument("--views", type=int, default=48, help="frames asked for at most, unless --frames (default 48)")
    parser.add_argument("--width", type=int, default=384, help="width of the pictures in pixels, at most (default 384)")
    add_recording_options(parser)
    add_engine_options(parser, several=True)
    add_sensor_options(parser)
    add_refinement_option(parser)
    parser.add_argument(
        "--voxel",
        type=float,
        metavar="METRES",
        help="of the TSDF (default: the 95th percentile of depth over 256: 1.6 cm where things are 4 m away)",
    )
    parser.add_argument("--no-tsdf", action="store_true", help="leave the TSDF out")
    parser.add_argument("--seed", type=int, default=0, help="seed of the engines (default 0)")
    add_metric_option(parser)
    parser.add_argument("--pictures", type=int, default=4, help="frames on the sheet of a recording (default 4)")
    add_report_options(parser, out="vmem_recorded")


def run(args: argparse.Namespace) -> None:
    """Evaluate engines on recordings.

    :raises RecordingError: a recording cannot be read.
    :raises ValueError: a number out of range, or a page without the marks.
    :raises ModelError: an engine, the memory, the estimator or a metric cannot be loaded.
    """
    _check(args)
    torch.set_num_threads(args.threads)
    for name in args.metric:
        load_metric(name)
    engines = _engines(args)
    report = RecordedReport(args.out, _settings(args, engines))
    for path in args.recordings:
        with recording_from_options(path, args) as recording, _written(report, args):
            for note in recording.notes:
                print(f"{recording.title}: {note}")
            result = _result(recording, report, engines, args)
            report.results.append(result)
            for _ in tqdm(result.run.observe(), "observing", len(result.run.split.observed), unit="frame"):
                pass
            for frame in tqdm(result.run.ask(), "asking", len(result.run.split.asked), unit="frame"):
                result.add(frame)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


@contextmanager
def _written(report: RecordedReport, args: argparse.Namespace) -> Iterator[None]:
    """Write what was measured when the block ends, also by Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        _write(report, args)
        raise
    _write(report, args)


def _write(report: RecordedReport, args: argparse.Namespace) -> None:
    if any(result.scores for result in report.results):
        report.write()
        for page in args.markdown:
            report.write_page(page)


def _result(
    recording: Recording, report: RecordedReport, engines: Mapping[str, Generator], args: argparse.Namespace
) -> RecordedResult:
    split = Split.of(len(recording), views=args.views if args.frames is None else None)
    has_depth = recording[split.observed[0]].view.depth is not None
    estimator = estimator_from_options(args, has_depth=has_depth, prior="none")
    first, *_ = engines.values()
    # A pose that comes again is drawn again.
    world = World(memory_from_options(args), first, estimator, reuse_views=False, sensor=sensor_from_options(args))
    tsdf, missing = _tsdf(recording, split, args)
    if missing:
        report.missing = {**report.missing, TSDF: missing}
    camera = recording.targets[split.asked[0]].camera
    settings: dict[str, Value] = {
        "layout": recording.layout,
        "frames": f"{args.frames or 'evenly spread'}, {len(split.observed)} observed, {len(split.asked)} asked for",
        "pictures": f"{camera.width} x {camera.height}",
        "depth of what the camera took": "measured" if has_depth else "estimated",
        "depth of new views": estimator_name(args, has_depth=has_depth),
    }
    if tsdf is not None:
        settings["voxels of the TSDF"] = f"{1e3 * tsdf.voxel_m:g} mm, to {tsdf.far_m:.3g} m"
    if recording.notes:
        settings["notes"] = "; ".join(recording.notes)
    run = RecordedRun(recording, split, world, engines, tsdf, refine=args.refine_pose == "icp", seed=args.seed)
    return RecordedResult(report.title_for(recording.title), run, settings, pictures=args.pictures)


def _tsdf(recording: Recording, split: Split, args: argparse.Namespace) -> tuple[TsdfVolume | None, str]:
    """Return an empty volume for a recording, or ``None`` and why there is none."""
    if args.no_tsdf:
        return None, "left out"
    return volume_or_reason(recording, split, voxel_m=args.voxel, far_m=args.max_depth)


def _engines(args: argparse.Namespace) -> dict[str, Generator]:
    """Return the engines by name, the baseline among them; options are those of the engines that were asked for."""
    asked = list(dict.fromkeys(args.engine or [DEFAULT_ENGINE]))
    options = engine_options(args)
    baseline: dict[str, dict[str, Any]] = {} if _BASELINE in asked else {_BASELINE: {}}
    wanted = baseline | dict.fromkeys(asked, options)
    return {name: load_generator(name, device=args.device, **of_it) for name, of_it in wanted.items()}


def _settings(args: argparse.Namespace, engines: Mapping[str, Generator]) -> dict[str, Value]:
    memory = options_from_pairs(args.memory_option)
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "engines": ", ".join(engines),
        **({"options of the engines": str(engine_options(args))} if engine_options(args) else {}),
        "memory": f"{memory_name(args)} ({memory})" if memory else memory_name(args),
        "threads of torch": args.threads,
    }


def _check(args: argparse.Namespace) -> None:
    check_least(args, {"views": 1, "width": 16, "pictures": 1, "threads": 1})
    if args.voxel is not None and not args.voxel > 0:
        raise ValueError(f"--voxel must be positive, got {args.voxel:g}")
    check_pages(args.markdown, (MARKS, SHORT_MARKS))
