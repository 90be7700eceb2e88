"""Recipes made into tasks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import SchedulerMixin
from peft import LoraConfig

from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation.vmem.autoencoding import decode
from vmem_ros.generation.vmem.network import MultiviewUNet
from vmem_ros.generation.vmem.pipeline import VMemPipeline
from vmem_ros.generation.vmem.pipeline_checks import check_size
from vmem_ros.generation.vmem.pipeline_folder import read_networks, read_pipeline, write_pipeline
from vmem_ros.generation.vmem.room_filling import HoleFilling
from vmem_ros.generation.vmem.schedules import log_scheduler, published_scheduler
from vmem_ros.training.adversary import Adversary, Contest
from vmem_ros.training.autoencoders import build, load_autoencoder
from vmem_ros.training.batches import SetSampler
from vmem_ros.training.dataset import EncodedCaches, evaluation_walks
from vmem_ros.training.denoising_task import DenoisingTask
from vmem_ros.training.house_walks import WalkMaker
from vmem_ros.training.initialisation import initialise
from vmem_ros.training.latent_walks import EncodedWalk, Encoder
from vmem_ros.training.objective import DenoisingObjective
from vmem_ros.training.recipes import Diffusion, GeneratorRecipe, LoraRecipe
from vmem_ros.training.workers import Walks

# Cameras' channels, and the mask of given frames.
_RAYS, _MASK = 6, 1
_ENCODERS = ("vae", "image_encoder")


@dataclass(frozen=True)
class _OfAutoencoder:
    """Loads the encoder of a generator's training."""

    folder: str
    device: str
    hole_filling: HoleFilling

    def __call__(self) -> Encoder:
        return Encoder(load_autoencoder(self.folder).to(self.device), hole_filling=self.hole_filling)


@dataclass(frozen=True)
class _OfPipeline:
    """Loads the encoder of an adapter's training."""

    folder: str
    device: str
    hole_filling: HoleFilling

    def __call__(self) -> Encoder:
        # Every process that makes data does this: the large network stays on the disk.
        parts = {name: part.to(self.device) for name, part in read_networks(self.folder, *_ENCODERS).items()}
        return Encoder(parts["vae"], parts.get("image_encoder"), hole_filling=self.hole_filling)


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
    taken = sorted(set(recipe.network) & set(computed))
    if taken:
        raise RecipeError(f"network.{taken[0]} is not to be set: it follows from the autoencoder and the conditions")
    unet = build(MultiviewUNet, {**recipe.network, **computed}, section="network", given=tuple(computed))
    if recipe.start is None:
        initialise(unet)
    else:
        _copy_weights(recipe.start, unet)
    unet.to(memory_format=torch.channels_last)
    # It draws by itself as its sample sheets were drawn.
    own = {"sampler": "fast", **dataclasses.asdict(recipe.sampling)}
    pipeline = VMemPipeline(
        unet,
        vae,
        None,
        _scheduler(recipe.diffusion),
        residual=recipe.residual,
        hole_filling=recipe.hole_filling,
        sampling=own,
        max_side=max(recipe.data.size),
    ).to(accelerator.device)

    def write(folder: Path) -> str:
        size = write_pipeline(pipeline, folder, overwrite=True)
        return (
            f"wrote the pipeline {folder} ({size / 1e6:.1f} MB); drive with it:\n  ros2 launch vmem_ros "
            f"camera.launch.xml engine:=vmem model:={folder.absolute()}"
        )

    load_encoder = _OfAutoencoder(recipe.autoencoder, str(accelerator.device), recipe.hole_filling)
    diffusion = recipe.diffusion
    contest, options = None, {}
    if recipe.adversary is not None:
        adversary = Adversary(recipe.adversary.width).to(accelerator.device)
        contest = Contest(unet, adversary, rate=recipe.adversary.rate)
        options = {"adversary": adversary, "adversary_weight": recipe.adversary.weight}
    objective = _objective(pipeline, diffusion, log_normal=diffusion.log_normal, **options)
    return _task(recipe, pipeline, load_encoder, objective, write, cache, accelerator, contest)


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

    def write(folder: Path) -> str:
        return f"wrote the adapter {pipeline.save_lora_weights(folder)}; load it with model.lora, or load_lora_weights"

    load_encoder = _OfPipeline(recipe.pipeline, str(accelerator.device), pipeline.config.hole_filling)
    objective = _objective(pipeline, recipe)
    return _task(recipe, pipeline, load_encoder, objective, write, cache, accelerator)


def _objective(pipeline: VMemPipeline, loss: Diffusion | LoraRecipe, **options: Any) -> DenoisingObjective:
    pipeline.vae.requires_grad_(False)
    return DenoisingObjective(
        pipeline.scheduler,
        **options,
        min_snr=loss.min_snr,
        pure_noise=loss.pure_noise,
        decode=functools.partial(decode, pipeline.vae) if loss.error == "pixels" else None,
        unseen=loss.unseen,
    )


def _task(
    recipe: GeneratorRecipe | LoraRecipe,
    pipeline: VMemPipeline,
    load_encoder: _OfAutoencoder | _OfPipeline,
    objective: DenoisingObjective,
    write: Callable[[Path], str],
    cache: Path,
    accelerator: Accelerator,
    contest: Contest | None = None,
) -> DenoisingTask:
    unet, data = pipeline.unet, recipe.data
    check_size(unet, pipeline.vae, *data.size)
    walks: Walks[EncodedWalk] = Walks(
        EncodedCaches(cache, data, load_encoder), data, produces=accelerator.is_local_main_process
    )
    sampler = SetSampler(
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
        lambda: evaluation_walks(cache, data, recipe.reporting.sample_sets, WalkMaker),
        write,
        walks.close,
        contest,
    )


def _copy_weights(folder: str, unet: MultiviewUNet) -> None:
    """Start from the network of another pipeline.

    :raises RecipeError: it has other layers.
    :raises ModelError: the pipeline cannot be loaded.
    """
    try:
        unet.load_state_dict(read_pipeline(folder).unet.state_dict())
    except RuntimeError as error:
        raise RecipeError(
            f"the training cannot start from the network of {folder}: give the fields of network that its training had "
            f"({error})"
        ) from error


def _scheduler(diffusion: Diffusion) -> SchedulerMixin:
    if diffusion.levels == "log":
        return log_scheduler(*diffusion.sigma, prediction=diffusion.prediction)
    if diffusion.prediction != "epsilon":
        raise ModelError("the published noise levels go with prediction: epsilon; use levels: log for another")
    return published_scheduler()
