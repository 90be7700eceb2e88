"""A recipe is trained."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import Accelerator

from vmem_ros.errors import ModelError
from vmem_ros.pretrained.devices import choose_device
from vmem_ros.training.autoencoder_task import AutoencoderTask
from vmem_ros.training.depth_recipe import DepthRecipe
from vmem_ros.training.depth_task import DepthTask
from vmem_ros.training.loop import Task, Training
from vmem_ros.training.recipe_file import as_mapping
from vmem_ros.training.recipes import AutoencoderRecipe, GeneratorRecipe, LoraRecipe
from vmem_ros.training.tasks import generator_task, lora_task


def train(
    recipe: AutoencoderRecipe | DepthRecipe | GeneratorRecipe | LoraRecipe,
    out: Path,
    *,
    cache: Path,
    device: str | None = None,
    threads: int | None = None,
) -> None:
    """Train a recipe from the start, or from the newest checkpoint in ``out``.

    :param cache: folder of walks through houses; shared by trainings of all kinds.
    :param device: by default what accelerate finds.
    :param threads: of torch; by default all cores but those that make data.
    :raises VmemError: see :meth:`vmem_ros.training.loop.Training.run`.
    """
    if threads is not None and threads < 1:
        raise ModelError(f"threads must be at least 1, got {threads}")
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - recipe.data.workers))
    if device is not None:
        choose_device(device)
    if recipe.optimisation.precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise ModelError("processors do not compute in fp16: use precision: no, or bf16")
    accelerator = Accelerator(mixed_precision=recipe.optimisation.precision, cpu=device == "cpu")
    if device is not None and torch.device(device).type != accelerator.device.type:
        raise ModelError(f"device {device} cannot be used: accelerate finds {accelerator.device}")
    task: Task
    if isinstance(recipe, AutoencoderRecipe):
        task = AutoencoderTask(recipe, cache=cache, accelerator=accelerator)
    elif isinstance(recipe, DepthRecipe):
        task = DepthTask(recipe, cache=cache, accelerator=accelerator)
    elif isinstance(recipe, GeneratorRecipe):
        task = generator_task(recipe, cache=cache, accelerator=accelerator)
    else:
        task = lora_task(recipe, cache=cache, accelerator=accelerator)
    training = Training(
        task, recipe.optimisation, recipe.reporting, out, recipe=as_mapping(recipe), accelerator=accelerator
    )
    training.run()
