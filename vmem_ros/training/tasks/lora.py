"""The training of a low-rank adapter for the network of a pipeline."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from peft import LoraConfig

from vmem_ros.errors import RecipeError
from vmem_ros.generation.vmem.pipeline import VMemPipeline
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline
from vmem_ros.training.recipes.lora import LoraRecipe
from vmem_ros.training.tasks.denoising import DenoisingTask
from vmem_ros.training.tasks.denoising_setup import build_denoising_task, build_objective
from vmem_ros.training.tasks.encoder_loading import EncoderLoader


def lora_task(recipe: LoraRecipe, *, cache: Path, accelerator: Accelerator) -> DenoisingTask:
    """Return the training of a low-rank adapter.

    :raises RecipeError: the adapter names no layer of the network.
    :raises ModelError: the pipeline cannot be loaded.
    """
    pipeline = read_pipeline(recipe.pipeline).to(accelerator.device)
    unet, adapter = pipeline.unet, recipe.adapter
    torch.manual_seed(recipe.seed)
    alpha = adapter.rank if adapter.alpha is None else adapter.alpha
    try:
        unet.add_adapter(LoraConfig(r=adapter.rank, lora_alpha=alpha, target_modules=list(adapter.modules)))
    except ValueError as error:
        raise RecipeError(f"adapter.modules = {list(adapter.modules)} cannot be adapted: {error}") from error
    if recipe.checkpointing:
        unet.enable_gradient_checkpointing()
    unet.train()
    return build_denoising_task(
        recipe,
        pipeline,
        EncoderLoader.of_pipeline(recipe.pipeline, str(accelerator.device), pipeline.config.hole_filling),
        build_objective(pipeline, recipe),
        lambda folder: _save(pipeline, folder),
        cache=cache,
        accelerator=accelerator,
    )


def _save(pipeline: VMemPipeline, folder: Path) -> str:
    return f"wrote the adapter {pipeline.save_lora_weights(folder)}; load it with model.lora, or load_lora_weights"
