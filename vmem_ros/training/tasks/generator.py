"""The training of the whole multi-view network of a pipeline."""

from __future__ import annotations

from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import SchedulerMixin

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.network import MultiviewUNet
from vmem_ros.generation.vmem.pipeline import VMemPipeline
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline, write_pipeline
from vmem_ros.generation.vmem.schedules import log_scheduler, published_scheduler
from vmem_ros.training.recipes.denoising import Diffusion
from vmem_ros.training.recipes.generator import GeneratorRecipe
from vmem_ros.training.tasks.adversary import AdversarialPair, PatchAdversary
from vmem_ros.training.tasks.autoencoder_classes import load_autoencoder
from vmem_ros.training.tasks.denoising import DenoisingTask
from vmem_ros.training.tasks.denoising_setup import build_denoising_task, build_objective
from vmem_ros.training.tasks.encoder_loading import EncoderLoader
from vmem_ros.training.tasks.feature_adversary import FeatureAdversary
from vmem_ros.training.tasks.initialisation import initialise
from vmem_ros.training.tasks.new_network import build_network, copy_weights

# Channels of the rays, and the mask of the frames that are given.
_RAYS, _MASK = 6, 1


def generator_task(recipe: GeneratorRecipe, *, cache: Path, accelerator: Accelerator) -> DenoisingTask:
    """Return the training of a network.

    :raises RecipeError: a field of the network that does not exist or does not fit, or another network to start from.
    :raises ModelError: the autoencoder cannot be loaded.
    """
    vae = load_autoencoder(recipe.autoencoder)
    channels = vae.config.latent_channels
    torch.manual_seed(recipe.seed)
    computed = {
        "in_channels": channels + _MASK + _RAYS,
        "out_channels": channels,
        "num_frames": recipe.conditions.frames,
        "projection_channels": channels + 1 if recipe.projection else 0,
    }
    unet = build_network(MultiviewUNet, recipe.network, computed, follows_from="the autoencoder and the conditions")
    if recipe.start is None:
        initialise(unet)
    else:
        copy_weights(unet, recipe.start, lambda folder: read_pipeline(folder).unet)
    unet.to(memory_format=torch.channels_last)
    pipeline = VMemPipeline(
        unet,
        vae,
        None,
        _scheduler(recipe.diffusion),
        residual=recipe.residual,
        hole_filling=recipe.hole_filling,
        # Where nobody asks for anything else, it draws as its sample sheets were drawn.
        sampling={"sampler": "fast", **recipe.sampling.model_dump()},
        max_side=max(recipe.data.size),
    ).to(accelerator.device)
    pair, options = None, {}
    if recipe.adversary is not None:
        kind = FeatureAdversary if recipe.adversary.looks_at == "features" else PatchAdversary
        adversary = kind(recipe.adversary.width).to(accelerator.device)
        pair = AdversarialPair(unet, adversary, rate=recipe.adversary.rate)
        options = {"adversary": adversary, "adversary_weight": recipe.adversary.weight}
    return build_denoising_task(
        recipe,
        pipeline,
        EncoderLoader.of_autoencoder(recipe.autoencoder, str(accelerator.device), recipe.hole_filling),
        build_objective(pipeline, recipe.diffusion, log_normal=recipe.diffusion.log_normal, **options),
        lambda folder: _save(pipeline, folder),
        cache=cache,
        accelerator=accelerator,
        pair=pair,
    )


def _save(pipeline: VMemPipeline, folder: Path) -> str:
    size = write_pipeline(pipeline, folder, overwrite=True)
    return (
        f"wrote the pipeline {folder} ({size / 1e6:.1f} MB); drive with it:\n  ros2 launch vmem_ros "
        f"camera.launch.xml engine:=vmem model:={folder.absolute()}"
    )


def _scheduler(diffusion: Diffusion) -> SchedulerMixin:
    if diffusion.levels == "log":
        return log_scheduler(*diffusion.sigma, prediction=diffusion.prediction)
    if diffusion.prediction != "epsilon":
        raise ModelError("the published noise levels go with prediction: epsilon; use levels: log for another")
    return published_scheduler()
