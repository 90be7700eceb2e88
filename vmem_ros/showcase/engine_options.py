"""The command-line options that choose what makes new views, shared by ``vmem explore`` and the demo."""

from __future__ import annotations

import argparse

from vmem_ros.generation.registry import DEFAULT_ENGINE, ENGINES, load_generator
from vmem_ros.pointmaps import ESTIMATORS, load_estimator
from vmem_ros.pretrained.shipped import DEFAULT_MODEL, SHIPPED_MODELS
from vmem_ros.protocols import Generator, PointMapEstimator


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--engine``, ``--model``, ``--estimator``, ``--depth-model`` and ``--device``."""
    parser.add_argument(
        "--engine",
        default=DEFAULT_ENGINE,
        help=f"what draws new views: {', '.join(sorted(ENGINES))}, or MODULE:FACTORY of your own "
        f"(default {DEFAULT_ENGINE})",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"model of engine vmem: {', '.join(SHIPPED_MODELS)}, or a pipeline folder (default {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--estimator",
        choices=ESTIMATORS,
        help="depth of new views (default memory; small, a depth network, if the camera measures no depth)",
    )
    parser.add_argument(
        "--depth-model", default="", help="model of the estimator: a folder or owner/name (default: its own)"
    )
    parser.add_argument("--device", default="cpu", help="where tensors live: cpu, cuda or cuda:N (default cpu)")


def generator_from_options(args: argparse.Namespace) -> Generator:
    """Return the generator that the options describe, its model loaded.

    :raises ModelError: see :func:`~vmem_ros.generation.registry.load_generator`.
    """
    return load_generator(args.engine, device=args.device, model=args.model)


def estimator_name(args: argparse.Namespace, *, has_depth: bool) -> str:
    """Return which estimator the options choose.

    :param has_depth: whether the real camera measures depth.
    """
    return args.estimator or ("memory" if has_depth else "small")


def estimator_from_options(args: argparse.Namespace, *, has_depth: bool) -> PointMapEstimator:
    """Return the estimator of depth that the options describe, its model loaded.

    :raises ModelError: see :func:`~vmem_ros.pointmaps.load_estimator`.
    """
    return load_estimator(estimator_name(args, has_depth=has_depth), model=args.depth_model or None, device=args.device)
