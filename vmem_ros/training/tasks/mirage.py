"""The training of Mirage's network: the scene branch is told which latents memory has at each target."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator

from vmem_ros.generation.mirage.generator import MirageGenerator
from vmem_ros.training.data.clip_walks import LatentWalkEncoder
from vmem_ros.training.recipes.mirage import MirageRecipe
from vmem_ros.training.tasks.clips import ClipTask, clip_task


def mirage_task(recipe: MirageRecipe, *, cache: Path, accelerator: Accelerator) -> ClipTask:
    """Return the training of a network; errors as of :func:`clip_task`."""
    preceding = recipe.clips.preceding
    return clip_task(
        recipe,
        MirageGenerator,
        LatentWalkEncoder,
        history=1,
        preceding=preceding,
        cache=cache,
        accelerator=accelerator,
        engine_options={"preceding": preceding},
    )
