"""The command-line options that choose memory, engine and estimator, shared by ``vmem explore`` and the demo."""

from __future__ import annotations

import argparse
from typing import Any

from vmem_ros.generation.registry import DEFAULT_ENGINE, ENGINES, load_generator
from vmem_ros.memory import DEFAULT_MEMORY, MEMORIES, load_memory
from vmem_ros.pointmaps import ESTIMATORS, load_estimator
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.pretrained.shipped import DEFAULT_MODEL, SHIPPED_MODELS
from vmem_ros.protocols import Generator, Memory, PointMapEstimator


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--memory``, ``--engine``, ``--model``, ``--estimator``, ``--device`` and the options of each."""
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
        choices=ESTIMATORS,
        help="depth of new views (default memory; small, a depth network, if the camera measures no depth)",
    )
    parser.add_argument(
        "--depth-model", default="", help="model of the estimator: a folder or owner/name (default: its own)"
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

    :raises ModelError: see :func:`~vmem_ros.generation.registry.load_generator`.
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
    return args.estimator or ("memory" if has_depth else "small")


def estimator_from_options(args: argparse.Namespace, *, has_depth: bool) -> PointMapEstimator:
    """Return the estimator of depth that the options describe, its model loaded.

    :raises ModelError: see :func:`~vmem_ros.pointmaps.load_estimator`.
    """
    return load_estimator(estimator_name(args, has_depth=has_depth), model=args.depth_model or None, device=args.device)
