"""Judge a model by what its world remembers, in houses that it was not trained on, with parts of the memory taken away.

From one given view a world is asked for a loop and for a walk out and back. Methods differ in what the generator is
told of the memory; reprojection and copying the given view stand beside them. Writes tables, plots and sheets after
every house, so that Ctrl-C keeps what has been measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vmem_ros.evaluation.ablation_methods import methods_for
from vmem_ros.evaluation.ablation_report import MARKS, AblationReport
from vmem_ros.evaluation.ablation_run import AblationConfig, evaluate_house
from vmem_ros.generation.registry import load_generator
from vmem_ros.generation.vmem.sampling_options import SamplingDefaults, SamplingOptions
from vmem_ros.pointmaps import ESTIMATORS, load_estimator
from vmem_ros.reporting.report import Value
from vmem_ros.reporting.sections import replace_section
from vmem_ros.scenes import EVALUATION_SEEDS

_RIVAL = "most recent views"
_EXACT = "exact"
#: What ``--quick`` replaces: to see in a minute that it works.
_QUICK = {"houses": 2, "poses": 5, "loop": 4, "steps": 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem evaluate``."""
    parser.add_argument(
        "--model",
        default="small",
        metavar="NAME|FOLDER",
        help="one in the package, or a pipeline folder (default small)",
    )
    parser.add_argument("--houses", type=int, default=16, help="evaluation houses (default 16)")
    parser.add_argument("--poses", type=int, default=16, help="on the way out, and as many back (default 16)")
    parser.add_argument("--loop", type=int, default=16, help="poses of the loop (default 16)")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels (default 128)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the model's own number)")
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the model's own)")
    parser.add_argument(
        "--estimator",
        choices=(*ESTIMATORS, _EXACT),
        default="memory",
        help=f"of the depth of new views (default memory); {_EXACT}: the house's own",
    )
    parser.add_argument("--quick", action="store_true", help=f"tiny sizes, to see that it works: {_QUICK}")
    parser.add_argument("--device", default="cpu", help="where the model and memories live (default cpu)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch (default: all)")
    parser.add_argument(
        "--out", type=Path, default=Path("vmem_evaluation"), help="folder for the results (default vmem_evaluation)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the report into this page too")


def run(args: argparse.Namespace) -> None:
    """Evaluate a model.

    :raises ValueError: a number out of range, or a page without the marks.
    :raises ModelError: the model or the estimator cannot be loaded.
    """
    if args.quick:
        vars(args).update(_QUICK)
    _check(args)
    torch.set_num_threads(args.threads)
    sampling = SamplingOptions(num_inference_steps=args.steps, guidance_scale=args.guidance)
    generator: Any = load_generator(device=args.device, model=args.model, sampling=sampling)
    estimator = None if args.estimator == _EXACT else load_estimator(args.estimator, device=args.device)
    plan = AblationConfig(poses=args.poses, loop=args.loop, size=args.size, device=args.device)
    methods = methods_for(generator)
    report = AblationReport(
        args.out, _settings(args, generator.pipeline.sampling_defaults.override(sampling)), rival=_RIVAL
    )
    seeds = EVALUATION_SEEDS[: args.houses]
    with tqdm(total=len(seeds) * len(methods) * plan.views, unit="view", desc="evaluating", smoothing=0.02) as bar:
        for seed in seeds:
            report.add(evaluate_house(seed, methods, generator, estimator, plan, on_view=bar.update))
            report.write()
            if args.markdown:
                report.write_page(args.markdown)
    print("\n".join(table.markdown() for table in report.report.tables))
    print(f"{report.report.summary}\nwrote {args.out}/report.md and more")


def _check(args: argparse.Namespace) -> None:
    least = {"houses": 1, "poses": 1, "loop": 2, "size": 16, "threads": 1}
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise ValueError(f"--{name} must be at least {lowest}, got {getattr(args, name)}")
    if args.steps is not None and args.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {args.steps}")
    if args.markdown and args.markdown.exists():
        # A page that cannot be written to is found now, not after the first house.
        replace_section(args.markdown.read_text(encoding="utf-8"), MARKS, "", args.markdown)
    if args.houses > len(EVALUATION_SEEDS):
        raise ValueError(f"--houses must be at most {len(EVALUATION_SEEDS)}, got {args.houses}")


def _settings(args: argparse.Namespace, sampling: SamplingDefaults) -> dict[str, Value]:
    return {
        "command": f"vmem evaluate {' '.join(sys.argv[2:])}".rstrip(),
        "model": args.model,
        "houses": f"{EVALUATION_SEEDS[0]} to {EVALUATION_SEEDS[args.houses - 1]}",
        "poses": f"{args.poses} out and {args.poses} back, steps of half a metre; {args.loop} round a room",
        "pictures": f"{args.size} x {args.size}",
        "sampler": f"{sampling.sampler}, {sampling.num_inference_steps} steps, guidance {sampling.guidance_scale:g}",
        "depth of new views": args.estimator,
        "threads of torch": args.threads,
    }
