"""What the trainings of networks and of adapters have in common: data, objective, task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from vmem_ros.generation.vmem.autoencoding import decode
from vmem_ros.generation.vmem.pipeline import VMemPipeline
from vmem_ros.generation.vmem.pipeline_checks import check_size
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.latent_walks import EncodedWalk
from vmem_ros.training.data.view_sets import ViewSetSampler
from vmem_ros.training.data.walk_caches import OpenEncodedCaches, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.denoising import Loss
from vmem_ros.training.recipes.generator import GeneratorRecipe
from vmem_ros.training.recipes.lora import LoraRecipe
from vmem_ros.training.tasks.adversary import AdversarialPair
from vmem_ros.training.tasks.denoising import DenoisingTask
from vmem_ros.training.tasks.denoising_objective import DenoisingObjective
from vmem_ros.training.tasks.encoder_loading import EncoderLoader


def build_objective(pipeline: VMemPipeline, loss: Loss, **options: Any) -> DenoisingObjective:
    """Return the objective of a pipeline's network.

    :param options: more of :class:`DenoisingObjective`'s.
    """
    pipeline.vae.requires_grad_(False)
    return DenoisingObjective(
        pipeline.scheduler,
        **options,
        min_snr=loss.min_snr,
        pure_noise=loss.pure_noise,
        decode=functools.partial(decode, pipeline.vae) if loss.error == "pixels" else None,
        unseen=loss.unseen,
    )


def build_denoising_task(
    recipe: GeneratorRecipe | LoraRecipe,
    pipeline: VMemPipeline,
    load_encoder: EncoderLoader,
    objective: DenoisingObjective,
    write: Callable[[Path], str],
    *,
    cache: Path,
    accelerator: Accelerator,
    pair: AdversarialPair | None = None,
) -> DenoisingTask:
    """Return the training of a pipeline's network on walks of a recipe.

    :param write: writes the result into a folder and says what it is.
    :param pair: the network and its adversary, if it has one.
    """
    unet, data = pipeline.unet, recipe.data
    check_size(unet, pipeline.vae, *data.size)
    walks: WalkStream[EncodedWalk] = WalkStream(
        OpenEncodedCaches(cache, data, load_encoder), data, produces=accelerator.is_local_main_process
    )
    sampler = ViewSetSampler(
        walks,
        recipe.conditions,
        chunk=data.chunk,
        context_dim=unet.config.context_dim,
        projection=bool(unet.config.projection_channels),
        seed=recipe.seed,
        camera_scale=pipeline.config.camera_scale,
        published_offset=pipeline.config.published_offset,
        residual=pipeline.config.residual,
    )
    return DenoisingTask(
        pipeline,
        sampler,
        objective,
        recipe.conditions,
        recipe.sampling,
        lambda: evaluation_walks(cache, data, recipe.reporting.sample_sets, ViewWalkFactory),
        write,
        walks.close,
        pair,
    )
