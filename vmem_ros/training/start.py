"""A recipe is trained."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import Accelerator

from vmem_ros.errors import ModelError
from vmem_ros.pretrained.devices import choose_device
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.tracking import Tracker, check_tracker, tracking


def train(
    recipe: BaseRecipe,
    out: Path,
    *,
    cache: Path,
    device: str | None = None,
    threads: int | None = None,
    tracker: Tracker | None = None,
) -> None:
    """Train a recipe from the start, or from the newest checkpoint in ``out``.

    :param cache: folder of walks through houses; shared by trainings of all kinds.
    :param device: by default what accelerate finds.
    :param threads: of torch; by default all cores but those that make data.
    :param tracker: gets the figures of the log as well. ``None``: nothing does.
    :raises MissingPackageError: the tracker is not installed.
    :raises VmemError: see :meth:`vmem_ros.training.loop.TrainingLoop.run`.
    """
    if threads is not None and threads < 1:
        raise ModelError(f"threads must be at least 1, got {threads}")
    if tracker is not None:
        check_tracker(tracker)
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - recipe.data.workers))
    if device is not None:
        choose_device(device)
    if recipe.optimisation.precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise ModelError("processors do not compute in fp16: use precision: no, or bf16")
    accelerator = Accelerator(
        mixed_precision=recipe.optimisation.precision, cpu=device == "cpu", log_with=tracker, project_dir=out
    )
    if device is not None and torch.device(device).type != accelerator.device.type:
        raise ModelError(f"device {device} cannot be used: accelerate finds {accelerator.device}")
    task = recipe.build_task(cache=cache, accelerator=accelerator)
    training = TrainingLoop(recipe, task, out, accelerator=accelerator)
    with tracking(accelerator, tracker, out, recipe.model_dump(mode="json")):
        training.run()
