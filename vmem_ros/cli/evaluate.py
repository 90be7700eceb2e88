"""Judge what a world remembers, in houses that no model was trained on, with parts of its memory taken away.

From one given view a world is asked for a loop and for a walk out and back. Methods differ in what the generator is
told of the memory; reprojection and copying the given view stand beside them. Writes tables, plots and sheets after
every house, so that Ctrl-C keeps what has been measured.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from tqdm import tqdm

from vmem_ros.cli.evaluate_options import (
    add_metric_option,
    add_report_options,
    check_houses,
    check_least,
    check_pages,
)
from vmem_ros.evaluation.ablation_methods import MOST_RECENT, Method, methods_for
from vmem_ros.evaluation.ablation_report import MARKS, SHORT_MARKS, AblationReport
from vmem_ros.evaluation.ablation_run import AblationConfig, HouseResult, evaluate_house
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
    memory_name,
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
    add_metric_option(parser)
    parser.add_argument(
        "--quick", action="store_true", help=f"tiny sizes, to see that it works: {_QUICK}, {_QUICK_STEPS} steps"
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="evaluate houses in parallel on a Ray cluster: auto, HOST:PORT, or local, which is this machine alone",
    )
    add_report_options(parser, out="vmem_evaluation")


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
    config, methods = _config(args), methods_for(generator)
    report = AblationReport(args.out, _settings(args, generator), rival=_rival(methods))
    seeds = EVALUATION_SEEDS[: args.houses]
    views = len(methods) * config.views
    with tqdm(total=len(seeds) * views, unit="view", desc="evaluating", smoothing=0.02) as bar:
        results = (
            map(_evaluator(args, generator, on_view=bar.update), seeds)
            if args.ray is None
            else _results_on_ray(args, seeds, on_house=lambda: bar.update(views))
        )
        for result in results:
            report.add(result)
            report.write()
            for page in args.markdown:
                report.write_page(page)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


def _evaluator(
    args: argparse.Namespace, generator: Generator, *, on_view: Callable[[], None] = lambda: None
) -> Callable[[int], HouseResult]:
    """Return what evaluates the house of a seed."""
    memory = memory_from_options(args)
    estimator = None if args.estimator == _EXACT else estimator_from_options(args, has_depth=True, prior=_PRIOR)
    methods, config = methods_for(generator), _config(args)
    return lambda seed: evaluate_house(seed, methods, generator, estimator, memory, config, on_view=on_view)


def _evaluator_elsewhere(args: argparse.Namespace) -> Callable[[int], HouseResult]:
    """Return the same in a process that has loaded nothing yet."""
    for name in args.metric:
        load_metric(name)
    return _evaluator(args, load_generator(args.engine, device=args.device, **_options_of_engine(args)))


def _results_on_ray(
    args: argparse.Namespace, seeds: Sequence[int], *, on_house: Callable[[], object]
) -> Iterator[HouseResult]:
    """Yield the results of houses in order; a house that is lost with its node is evaluated again."""
    # Here: who has no use for Ray needs none.
    from vmem_ros.fleet.cluster import cluster_cpus, cluster_gpus, connect
    from vmem_ros.fleet.parallel import ordered_map

    gpus = 1 if args.device.startswith("cuda") else 0
    with connect(args.ray):
        workers = max(1, cluster_gpus() if gpus else cluster_cpus() // args.threads)
        make = functools.partial(_evaluator_elsewhere, args)
        for result in ordered_map(make, seeds, workers=workers, threads=args.threads, gpus=gpus):
            on_house()
            yield result


def _config(args: argparse.Namespace) -> AblationConfig:
    return AblationConfig(poses=args.poses, loop=args.loop, size=args.size)


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
    check_least(args, {"houses": 1, "poses": 1, "loop": 2, "size": 16, "threads": 1})
    if args.steps is not None and args.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {args.steps}")
    check_houses(args.houses)
    check_pages(args.markdown, (MARKS, SHORT_MARKS))


def _settings(args: argparse.Namespace, generator: Generator) -> dict[str, Value]:
    own = {"model": DEFAULT_MODEL} if args.engine == _VMEM else {}
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "engine": _with_options(args.engine, own | _options_of_engine(args)),
        "memory": _with_options(memory_name(args), options_from_pairs(args.memory_option)),
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
