"""Judge what a world remembers, in houses that no model was trained on, with parts of its memory taken away.

From one given view a world is asked for a loop and for a walk out and back. Methods differ in what the generator is
told of the memory; reprojection and copying the given view stand beside them. Writes tables, plots and sheets after
every house, so that Ctrl-C keeps what has been measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vmem_ros.evaluation.ablation_methods import MOST_RECENT, Method, methods_for
from vmem_ros.evaluation.ablation_report import AblationReport, marks_of
from vmem_ros.evaluation.ablation_run import AblationConfig, evaluate_house
from vmem_ros.evaluation.registry import load_metric
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.pointmaps import ESTIMATORS, GeometryPrior
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.pretrained.shipped import DEFAULT_MODEL
from vmem_ros.protocols import Generator
from vmem_ros.reporting.tables import Value
from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    engine_options,
    estimator_from_options,
    estimator_name,
    estimator_options,
    memory_from_options,
)

_EXACT = "exact"
# Houses have level floors and upright walls.
_PRIOR: GeometryPrior = "room"
# The engine with a sampler of its own options.
_VMEM = "vmem"
#: What ``--quick`` replaces: to see in a minute that it works.
_QUICK = {"houses": 2, "poses": 5, "loop": 4}
_QUICK_STEPS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem evaluate``."""
    add_engine_options(parser, estimators=(*ESTIMATORS, _EXACT))
    parser.add_argument("--houses", type=int, default=16, help="evaluation houses (default 16)")
    parser.add_argument("--poses", type=int, default=16, help="on the way out, and as many back (default 16)")
    parser.add_argument("--loop", type=int, default=16, help="poses of the loop (default 16)")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels (default 128)")
    parser.add_argument("--steps", type=int, help="denoising steps of engine vmem (default: the model's own number)")
    parser.add_argument("--guidance", type=float, help="guidance scale of engine vmem (default: the model's own)")
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="MODULE:METRIC",
        help="one more metric, an object of vmem_ros.evaluation.registry.Metric; repeatable",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"tiny sizes, to see that it works: {_QUICK}, {_QUICK_STEPS} steps"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (default: all)")
    parser.add_argument(
        "--out", type=Path, default=Path("vmem_evaluation"), help="folder for the results (default vmem_evaluation)"
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="put the report into this page too, or the short table, as its marks say; repeatable",
    )


def run(args: argparse.Namespace) -> None:
    """Evaluate an engine.

    :raises ValueError: a number out of range, or a page without the marks.
    :raises ModelError: the engine, the memory, the estimator or a metric cannot be loaded.
    """
    if args.quick:
        vars(args).update(_QUICK)
        if args.engine == _VMEM:
            args.steps = _QUICK_STEPS
    _check(args)
    torch.set_num_threads(args.threads)
    for name in args.metric:
        load_metric(name)
    generator = load_generator(args.engine, device=args.device, **_options_of_engine(args))
    memory = memory_from_options(args)
    estimator = None if args.estimator == _EXACT else estimator_from_options(args, has_depth=True, prior=_PRIOR)
    config = AblationConfig(poses=args.poses, loop=args.loop, size=args.size)
    methods = methods_for(generator)
    report = AblationReport(args.out, _settings(args, generator), rival=_rival(methods))
    seeds = EVALUATION_SEEDS[: args.houses]
    with tqdm(total=len(seeds) * len(methods) * config.views, unit="view", desc="evaluating", smoothing=0.02) as bar:
        for seed in seeds:
            report.add(evaluate_house(seed, methods, generator, estimator, memory, config, on_view=bar.update))
            report.write()
            for page in args.markdown:
                report.write_page(page)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


def _options_of_engine(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the engine, ``--steps`` and ``--guidance`` among them."""
    options = engine_options(args)
    sampling = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    given = {name: value for name, value in sampling.items() if value is not None}
    return options | {"sampling": options.get("sampling", {}) | given} if given else options


def _rival(methods: Sequence[Method]) -> str:
    """Return the name of the method that the first one has to beat."""
    return (MOST_RECENT if MOST_RECENT in methods else methods[-1]).name


def _check(args: argparse.Namespace) -> None:
    least = {"houses": 1, "poses": 1, "loop": 2, "size": 16, "threads": 1}
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise ValueError(f"--{name} must be at least {lowest}, got {getattr(args, name)}")
    if args.steps is not None and args.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {args.steps}")
    if args.houses > len(EVALUATION_SEEDS):
        raise ValueError(f"--houses must be at most {len(EVALUATION_SEEDS)}, got {args.houses}")
    for page in args.markdown:
        if page.exists():
            # A page that cannot be written to is found now, not after the first house.
            marks_of(page.read_text(encoding="utf-8"), page)


def _settings(args: argparse.Namespace, generator: Generator) -> dict[str, Value]:
    own = {"model": DEFAULT_MODEL} if args.engine == _VMEM else {}
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "engine": _with_options(args.engine, own | _options_of_engine(args)),
        "memory": _with_options(args.memory, options_from_pairs(args.memory_option)),
        "houses": f"{EVALUATION_SEEDS[0]} to {EVALUATION_SEEDS[args.houses - 1]}",
        "poses": f"{args.poses} out and {args.poses} back, steps of half a metre; {args.loop} round a room",
        "pictures": f"{args.size} x {args.size}",
        **_sampler(args, generator),
        "depth of new views": _estimator_text(args),
        "threads of torch": args.threads,
    }


def _estimator_text(args: argparse.Namespace) -> str:
    if args.estimator == _EXACT:
        return "exact, that of the house"
    name = estimator_name(args, has_depth=True)
    return _with_options(name, estimator_options(args, has_depth=True, prior=_PRIOR))


def _with_options(name: str, options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{option} = {value}" for option, value in options.items())
    return f"{name} ({given})" if given else name


def _sampler(args: argparse.Namespace, generator: Any) -> dict[str, Value]:
    """Return how engine ``vmem`` samples; other engines have no sampler to speak of."""
    if args.engine != _VMEM:
        return {}
    options = SamplingOptions(**_options_of_engine(args).get("sampling", {}))
    sampling = generator.pipeline.sampling_defaults.override(options)
    return {
        "sampler": f"{sampling.sampler}, {sampling.num_inference_steps} steps, guidance {sampling.guidance_scale:g}"
    }
