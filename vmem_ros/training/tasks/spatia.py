"""The training of Spatia's network: the scene branch is told what a cloud of points shows."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator

from vmem_ros.generation.wan.generator import SpatiaGenerator
from vmem_ros.training.data.clip_walks import PointWalkEncoder
from vmem_ros.training.recipes.spatia import SpatiaRecipe
from vmem_ros.training.tasks.clips import ClipTask, clip_task


def spatia_task(recipe: SpatiaRecipe, *, cache: Path, accelerator: Accelerator) -> ClipTask:
    """Return the training of a network; errors as of :func:`clip_task`."""
    history = recipe.clips.history
    return clip_task(
        recipe,
        SpatiaGenerator,
        PointWalkEncoder,
        history=history,
        preceding=0,
        cache=cache,
        accelerator=accelerator,
        engine_options={},
    )
