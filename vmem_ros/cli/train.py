"""Train an autoencoder, a generator, a LoRA adapter or a depth network, on procedural houses, from a recipe
(config/training/*.yaml).

The folder OUT gets log.jsonl, loss.png, samples/ and checkpoints/ while training, and model/ at the end. The same
command goes on from the last checkpoint after Ctrl-C or a crash.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DEFAULT_CACHE = Path("~/.cache/vmem_ros/training")
WHAT = ("autoencoder", "generator", "lora", "depth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem train``."""
    parser.add_argument("what", choices=WHAT, help="what to train")
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="YAML file")
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
    parser.add_argument("--device", help="cpu, cuda, ... (default: what accelerate finds)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: all cores but those that make data)")


def run(args: argparse.Namespace) -> None:
    """Train, from the start or from the last checkpoint.

    :raises VmemError: see :meth:`vmem_ros.training.loop.Training.run`.
    """
    from vmem_ros.training.depth_recipe import DepthRecipe
    from vmem_ros.training.recipe_file import read_recipe
    from vmem_ros.training.recipes import AutoencoderRecipe, GeneratorRecipe, LoraRecipe

    kinds: dict[str, Any] = {
        "autoencoder": AutoencoderRecipe,
        "generator": GeneratorRecipe,
        "lora": LoraRecipe,
        "depth": DepthRecipe,
    }
    recipe = read_recipe(args.recipe, kinds[args.what], settings=args.settings)
    # Imports diffusers, which takes seconds: not before a mistyped field is found.
    from vmem_ros.training.start import train

    train(recipe, args.out, cache=args.cache.expanduser(), device=args.device, threads=args.threads)
