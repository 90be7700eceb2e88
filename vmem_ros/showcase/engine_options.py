"""The command-line options that choose memory, engine and estimator, shared by ``vmem explore`` and the demo."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, get_args

from vmem_ros.generation.engines import DEFAULT_ENGINE, ENGINES, load_generator
from vmem_ros.memory import DEFAULT_MEMORY, MEMORIES, load_memory
from vmem_ros.pointmaps import DEFAULT_ESTIMATOR, ESTIMATORS, GeometryPrior, load_estimator
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.pretrained.shipped import DEFAULT_MODEL, SHIPPED_MODELS
from vmem_ros.protocols import Generator, Memory, PointMapEstimator


def add_engine_options(parser: argparse.ArgumentParser, *, estimators: Iterable[str] = ESTIMATORS) -> None:
    """Add ``--memory``, ``--engine``, ``--model``, ``--estimator``, ``--prior``, ``--device``, and options of each.

    :param estimators: names that the help lists.
    """
    parser.add_argument(
        "--memory",
        default=DEFAULT_MEMORY,
        help=f"what remembers: {', '.join(MEMORIES)}, or MODULE:FACTORY of your own (default {DEFAULT_MEMORY})",
    )
    _add_repeated(parser, "--memory-option", "of the memory, such as selection=coverage")
    parser.add_argument(
        "--engine",
        default=DEFAULT_ENGINE,
        help=f"what draws new views: {', '.join(ENGINES)}, or MODULE:FACTORY of your own (default {DEFAULT_ENGINE})",
    )
    _add_repeated(parser, "--engine-option", "of the engine, such as inpainting=telea")
    parser.add_argument(
        "--model",
        help=f"model of the engine: for vmem {', '.join(SHIPPED_MODELS)}, or a pipeline folder (default "
        f"{DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--estimator",
        help=f"depth of new views: {', '.join(estimators)}, or MODULE:FACTORY of your own (default memory; small, a "
        "depth network, if the camera measures no depth)",
    )
    _add_repeated(parser, "--estimator-option", "of the estimator, such as max_depth_m=20")
    parser.add_argument("--depth-model", help="model of the estimator: a folder or owner/name (default: its own)")
    parser.add_argument(
        "--prior",
        choices=get_args(GeometryPrior),
        help="what estimator memory believes of surfaces that nobody saw: nothing, or that they are those of a room "
        "(default room in a procedural house, none around a photo)",
    )
    parser.add_argument("--device", default="cpu", help="where tensors live: cpu, cuda or cuda:N (default cpu)")


def _add_repeated(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    parser.add_argument(name, action="append", default=[], metavar="NAME=VALUE", help=f"an option {what}; repeatable")


def engine_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the engine by name.

    :raises ModelError: see :func:`~vmem_ros.pretrained.option_values.options_from_pairs`.
    """
    model = {} if args.model is None else {"model": args.model}
    return model | options_from_pairs(args.engine_option)


def generator_from_options(args: argparse.Namespace) -> Generator:
    """Return the generator that the options describe, its model loaded.

    :raises ModelError: see :func:`~vmem_ros.generation.engines.load_generator`.
    """
    return load_generator(args.engine, device=args.device, **engine_options(args))


def memory_from_options(args: argparse.Namespace) -> Memory:
    """Return the empty memory that the options describe.

    :raises ModelError: see :func:`~vmem_ros.memory.load_memory`.
    """
    return load_memory(args.memory, device=args.device, **options_from_pairs(args.memory_option))


def estimator_name(args: argparse.Namespace, *, has_depth: bool) -> str:
    """Return which estimator the options choose.

    :param has_depth: whether the real camera measures depth.
    """
    return args.estimator or (DEFAULT_ESTIMATOR if has_depth else "small")


def estimator_options(args: argparse.Namespace, *, has_depth: bool, prior: GeometryPrior) -> dict[str, Any]:
    """Return the options of the estimator by name; arguments and errors as of :func:`estimator_from_options`."""
    options = options_from_pairs(args.estimator_option)
    if args.depth_model:
        options["model"] = args.depth_model
    if args.prior or estimator_name(args, has_depth=has_depth) == DEFAULT_ESTIMATOR:
        options.setdefault("prior", args.prior or prior)
    return options


def estimator_from_options(args: argparse.Namespace, *, has_depth: bool, prior: GeometryPrior) -> PointMapEstimator:
    """Return the estimator of depth that the options describe, its model loaded.

    :param has_depth: whether the real camera measures depth.
    :param prior: what estimator ``memory`` believes if the options do not say.
    :raises ModelError: see :func:`~vmem_ros.pointmaps.load_estimator`.
    """
    options = estimator_options(args, has_depth=has_depth, prior=prior)
    return load_estimator(estimator_name(args, has_depth=has_depth), device=args.device, **options)
