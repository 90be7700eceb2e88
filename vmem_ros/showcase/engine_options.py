"""The command-line options that choose memory, engine and estimator, shared by ``vmem explore`` and the demo."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from vmem_ros.errors import ModelError
from vmem_ros.generation.engines import DEFAULT_ENGINE, ENGINES, load_generator
from vmem_ros.memory import AUTO_MEMORY, DEFAULT_MEMORY, MEMORIES, load_memory, memory_kind
from vmem_ros.pointmaps import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    GeometryPrior,
    Scene,
    SensorDepthOptions,
    SensorKind,
    load_estimator,
)
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.protocols import Generator, Memory, PointMapEstimator


def add_engine_options(
    parser: argparse.ArgumentParser, *, estimators: Iterable[str] = ESTIMATORS, several: bool = False
) -> None:
    """Add ``--memory``, ``--engine``, ``--model``, ``--estimator``, ``--prior``, ``--device``, and options of each.

    :param estimators: names that the help lists.
    :param several: ``--engine`` may be repeated: ``args.engine`` is a list then, or ``None``.
    """
    parser.add_argument(
        "--memory",
        default=AUTO_MEMORY,
        help=f"what remembers: {', '.join(MEMORIES)}, or MODULE:FACTORY of your own (default: what the engine was made "
        f"for, else {DEFAULT_MEMORY})",
    )
    _add_repeated(parser, "--memory-option", "of the memory, such as selection=coverage")
    parser.add_argument(
        "--engine",
        default=None if several else DEFAULT_ENGINE,
        action="append" if several else "store",
        help=f"what draws new views: {', '.join(ENGINES)}, or MODULE:FACTORY of your own"
        f"{'; repeatable' if several else ''} (default {DEFAULT_ENGINE})",
    )
    _add_repeated(parser, "--engine-option", "of the engine, such as inpainting=telea")
    parser.add_argument(
        "--model",
        help="model of the engine: a pipeline folder, or owner/name on the Hugging Face Hub (default: the one of the "
        "package, where it has one for the engine)",
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


def add_sensor_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--sensor``, ``--close-gaps-px`` and ``--keep-flying``: what becomes of measured depth."""
    defaults = SensorDepthOptions()
    parser.add_argument(
        "--sensor",
        choices=get_args(SensorKind),
        default=defaults.sensor,
        help="what measured the depth, hence its noise; exact: it stays as it is (default auto: exact if no pixel is "
        "unknown, else structured_light)",
    )
    parser.add_argument(
        "--close-gaps-px",
        type=int,
        default=defaults.close_gaps_px,
        help="gaps of depth up to so many pixels wide are closed along surfaces, 0 to 16 (default "
        f"{defaults.close_gaps_px})",
    )
    parser.add_argument("--keep-flying", action="store_true", help="keep readings that lie between two surfaces")


def add_refinement_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--refine-pose``."""
    parser.add_argument(
        "--refine-pose",
        choices=("off", "icp"),
        default="off",
        help="icp: align each observed frame with depth to what memory shows, where that fits better (default off)",
    )


def sensor_from_options(args: argparse.Namespace) -> SensorDepthOptions:
    """Return what becomes of measured depth.

    :raises ModelError: an option is out of range.
    """
    try:
        return SensorDepthOptions(
            sensor=args.sensor, close_gaps_px=args.close_gaps_px, remove_flying=not args.keep_flying
        )
    except ValueError as error:
        raise ModelError(str(error)) from error


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


def memory_name(args: argparse.Namespace) -> str:
    """Return which memory the options choose."""
    engines = args.engine if isinstance(args.engine, list) else [args.engine or DEFAULT_ENGINE]
    return memory_kind(args.memory, engines)


def memory_from_options(args: argparse.Namespace) -> Memory:
    """Return the empty memory that the options describe.

    :raises ModelError: see :func:`~vmem_ros.memory.load_memory`.
    """
    return load_memory(memory_name(args), device=args.device, **options_from_pairs(args.memory_option))


def estimator_name(args: argparse.Namespace, *, has_depth: bool) -> str:
    """Return which estimator the options choose.

    :param has_depth: whether the real camera measures depth.
    """
    return args.estimator or (DEFAULT_ESTIMATOR if has_depth else "small")


def estimator_options(
    args: argparse.Namespace, *, has_depth: bool, prior: GeometryPrior, scene: Scene = "indoors"
) -> dict[str, Any]:
    """Return the options of the estimator by name; arguments and errors as of :func:`estimator_from_options`."""
    options = options_from_pairs(args.estimator_option)
    if args.depth_model:
        options["model"] = args.depth_model
    name = estimator_name(args, has_depth=has_depth)
    if args.prior:
        options.setdefault("prior", args.prior)
    return with_scene(name, options, prior=prior, scene=scene)


def with_scene(name: str, options: Mapping[str, Any], *, prior: GeometryPrior, scene: Scene) -> dict[str, Any]:
    """Return the options of an estimator, and what the scene suggests where they say nothing."""
    suggested: dict[str, Any] = {}
    if name == DEFAULT_ESTIMATOR:
        suggested["prior"] = prior
    if name == "small" and scene != "indoors":
        suggested["scene"] = scene
    return suggested | dict(options)


def estimator_from_options(
    args: argparse.Namespace, *, has_depth: bool, prior: GeometryPrior, scene: Scene = "indoors"
) -> PointMapEstimator:
    """Return the estimator of depth that the options describe, its model loaded.

    :param has_depth: whether the real camera measures depth.
    :param prior: what estimator ``memory`` believes if the options do not say.
    :param scene: what estimator ``small`` takes pictures for if the options do not say.
    :raises ModelError: see :func:`~vmem_ros.pointmaps.load_estimator`.
    """
    options = estimator_options(args, has_depth=has_depth, prior=prior, scene=scene)
    return load_estimator(estimator_name(args, has_depth=has_depth), device=args.device, **options)
