"""Train an autoencoder, a generator, a LoRA adapter or a depth network, on procedural houses, from a recipe
(config/training/*.yaml), by its file or its name.

The folder OUT gets log.jsonl, loss.png, samples/ and checkpoints/ while training, and model/ at the end. The same
command goes on from the last checkpoint after Ctrl-C or a crash.
"""

from __future__ import annotations

import argparse
from pathlib import Path

DEFAULT_CACHE = Path("~/.cache/vmem_ros/training")
# Of what is imported only when something is trained: the names of its recipes and of the trackers of accelerate.
_TRAINABLE = ("autoencoder", "generator", "lora", "depth")
_TRACKERS = ("tensorboard", "wandb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem train``."""
    parser.add_argument("what", choices=_TRAINABLE, help="what to train")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("file", type=Path, nargs="?", metavar="RECIPE", help="YAML file")
    which.add_argument(
        "--recipe",
        metavar="NAME",
        help="a recipe of config/training by its name instead of its file, e.g. gac, which trains the network of the "
        "engine gac",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder of this training")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="FIELD=VALUE",
        help="replace a field of the recipe, e.g. optimisation.batch=4; may be repeated",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=DEFAULT_CACHE,
        metavar="FOLDER",
        help=f"where walks through houses are kept, also for other trainings (default {DEFAULT_CACHE})",
    )
    parser.add_argument(
        "--tracker", choices=_TRACKERS, help="also send the figures of log.jsonl to this tracker (default: none)"
    )
    parser.add_argument("--device", help="cpu, cuda, ... (default: what accelerate finds)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: all cores but those that make data)")


def run(args: argparse.Namespace) -> None:
    """Train, from the start or from the last checkpoint.

    :raises VmemError: see :func:`vmem_ros.training.start.train`.
    """
    from vmem_ros.training.recipes import named_recipe, read_recipe

    file = args.file or named_recipe(args.recipe)
    recipe = read_recipe(file, args.what, settings=args.settings)
    # Imports diffusers, which takes seconds: not before a mistyped field is found.
    from vmem_ros.training.start import train

    options = {"device": args.device, "threads": args.threads, "tracker": args.tracker}
    train(recipe, args.out, cache=args.cache.expanduser(), **options)
