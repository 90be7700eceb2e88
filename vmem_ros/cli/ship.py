"""Put a trained pipeline or depth network into the package as one of its own models, with recipes, logs and sheets.

Whoever installs vmem_ros from this copy gets the model: `model:=NAME` draws with it, and the estimator `small` is the
one called depth.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.sampling_options import DEFAULT_STEPS
from vmem_ros.pretrained.shipped import DEPTH_MODEL, SHIPPED_MODELS

_DTYPES = ("float16", "float32")
_NAMES = (*SHIPPED_MODELS, DEPTH_MODEL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem ship``."""
    parser.add_argument("name", choices=_NAMES, metavar="NAME", help=f"one of: {', '.join(_NAMES)}")
    parser.add_argument("pipeline", type=Path, metavar="FOLDER", help="as `vmem train generator` or `depth` made it")
    parser.add_argument(
        "--training",
        action="append",
        default=[],
        dest="trainings",
        metavar="NAME=FOLDER",
        help="a training that belongs to it, by the --out of `vmem train`: generator=FOLDER, autoencoder=FOLDER, "
        "depth=FOLDER, or, of a design that was tried, generator-WORD=FOLDER; may be repeated",
    )
    parser.add_argument(
        "--card", type=Path, required=True, metavar="FILE", help="Markdown, first part of its README.md"
    )
    parser.add_argument("--dtype", choices=_DTYPES, default=_DTYPES[0], help=f"stored weights (default {_DTYPES[0]})")
    parser.add_argument("--overwrite", action="store_true", help="replace the model of that name")
    own = parser.add_argument_group("how a pipeline draws where nobody asks for anything else (default: as it says)")
    own.add_argument("--sampler", choices=tuple(DEFAULT_STEPS), dest="sampler")
    own.add_argument("--steps", type=int, dest="num_inference_steps")
    own.add_argument("--geometry-steps", type=int, help="for the depth of a view, where the network draws it")
    own.add_argument("--guidance-scale", type=float)
    own.add_argument("--guidance-min", type=float)
    own.add_argument("--guidance-interval", type=float, nargs=2, metavar=("LOW", "HIGH"))
    own.add_argument("--max-side", type=int, help="largest side in pixels at which it draws well")


def run(args: argparse.Namespace) -> None:
    """Write the model.

    :raises ModelError: see :func:`vmem_ros.training.shipping.pipeline.ship_pipeline`.
    """
    trainings = {}
    for entry in args.trainings:
        name, separator, folder = entry.partition("=")
        if not separator:
            raise ModelError(f"--training is NAME=FOLDER, got {entry!r}")
        trainings[name] = Path(folder)
    introduction = args.card.read_text(encoding="utf-8")
    # These import diffusers, which takes seconds: not before a mistyped path is found.
    import torch

    common = {
        "trainings": trainings,
        "introduction": introduction,
        "command": shlex.join(["vmem", *sys.argv[1:]]),
        "dtype": getattr(torch, args.dtype),
        "overwrite": args.overwrite,
    }
    size = _ship_depth(args, common) if args.name == DEPTH_MODEL else _ship_pipeline(args, common)
    print(f"wrote the model {args.name}: {size / 1e6:.1f} MB")


def _ship_depth(args: argparse.Namespace, common: dict[str, Any]) -> int:
    from vmem_ros.training.shipping.depth import ship_depth

    return ship_depth(args.pipeline, **common)


def _ship_pipeline(args: argparse.Namespace, common: dict[str, Any]) -> int:
    from vmem_ros.generation.vmem.pipeline_folder import read_any_pipeline
    from vmem_ros.training.shipping.pipeline import ship_pipeline

    names = ("sampler", "num_inference_steps", "geometry_steps", "guidance_scale", "guidance_min", "guidance_interval")
    sampling = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return ship_pipeline(
        read_any_pipeline(args.pipeline), args.name, sampling=sampling, max_side=args.max_side, **common
    )
