"""The training of the network of Geometry-as-Context."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vmem_ros.evaluation.metrics import depth_errors, psnr
from vmem_ros.generation.gac.depth_code import DepthCode
from vmem_ros.generation.gac.network import GacTransformer
from vmem_ros.generation.gac.overlap import ViewVolume
from vmem_ros.generation.gac.pipeline import GacPipeline, GacPipelineOutput
from vmem_ros.generation.gac.sampling import flow_scheduler
from vmem_ros.generation.vmem.autoencoding import decode, downsampling
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline_of, write_pipeline
from vmem_ros.reporting.colormaps import depth_colors
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.training.data.geometry_walks import (
    EncodedGeometryWalk,
    GeometryEncoder,
    GeometryWalk,
    GeometryWalkFactory,
)
from vmem_ros.training.data.view_sequences import SequenceBatch, SequenceSampler
from vmem_ros.training.data.walk_caches import OpenEncodedCaches, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.gac import GacRecipe
from vmem_ros.training.tasks.autoencoder_classes import load_autoencoder
from vmem_ros.training.tasks.flow_objective import FlowObjective
from vmem_ros.training.tasks.new_network import build_network, check_views, copy_weights
from vmem_ros.types import Target

_NEAR_M, _FAR_M = 0.5, 8.0


@dataclass(eq=False)
class GacTask:
    """See :class:`vmem_ros.training.tasks.task.Task`.

    :param evaluation: returns walks for sample sheets, each of which gives one sequence.
    :param stop: ends the processes that make walks.
    """

    pipeline: GacPipeline
    sampler: SequenceSampler
    objective: FlowObjective
    evaluation: Callable[[], list[GeometryWalk]]
    stop: Callable[[], None]

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        return self.pipeline.transformer

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of ``count`` sequences; see :class:`~vmem_ros.training.tasks.task.Task`."""
        batch, device = self.sampler.batch(first, count), self.pipeline.device
        there = SequenceBatch(batch.parts, batch.clean.to(device), batch.disturbance, batch.plucker.to(device))
        return self.objective(network, there, generator)

    @torch.no_grad()
    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw targets of evaluation walks from a true context, and their depth, and compare both with the truth."""
        blocks, quality, errors = [], [], []
        training = self.network.training
        self.network.eval()
        for index, walk in enumerate(self.evaluation()):
            context, targets = self._choose(walk, index)
            pictures, depths = self._draw(walk, context, targets, seed=index)
            truth, true_depth = [walk.images[i] for i in targets], [walk.depth[i].float() for i in targets]
            scores = [psnr(a, b) for a, b in zip(pictures, truth, strict=True)]
            quality += scores
            errors += [depth_errors(a, b).abs_rel for a, b in zip(depths, true_depth, strict=True)]
            rows = {
                "truth": truth,
                "drawn": pictures,
                "true depth": [_picture(each) for each in true_depth],
                "its depth": [_picture(each) for each in depths],
                "context": [walk.images[i] for i in context],
            }
            blocks.append(Block(f"{np.mean(scores):.1f} dB", rows))
        self.network.train(training)
        write_image_grid(sheet, blocks)
        return {"psnr_dB": float(np.mean(quality)), "depth_error": float(np.nanmean(errors))}

    def save(self, folder: Path) -> str:
        """Write the pipeline."""
        size = write_pipeline(self.pipeline, folder, overwrite=True)
        return (
            f"wrote the pipeline {folder} ({size / 1e6:.1f} MB); drive with it:\n  ros2 launch vmem_ros "
            f"camera.launch.xml engine:=gac model:={folder.absolute()}"
        )

    def close(self) -> None:
        """End the processes that make walks."""
        self.stop()

    def _choose(self, walk: GeometryWalk, index: int) -> tuple[list[int], list[int]]:
        """Return the context of a sequence, and its targets, somewhere along the walk."""
        config = self.pipeline.config
        first, last = config.context, len(walk.images) - config.frames
        start = first + (7 * index + 3) % max(1, last - first + 1)
        camera = walk.camera
        target = Target(camera, walk.poses[start])
        shares = ViewVolume().shares(target, [camera] * start, walk.poses[:start])
        best = torch.argsort(shares, descending=True, stable=True)[: config.context].flip(0)
        return best.tolist(), list(range(start, start + config.frames))

    def _draw(
        self, walk: GeometryWalk, context: list[int], targets: list[int], *, seed: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return images [H, W, 3] uint8 of the targets, and their depth [H, W]."""
        height, width = walk.images.shape[1:3]
        output = self.pipeline(
            [walk.images[i] for i in context],
            [walk.camera] * len(context),
            list(walk.poses[context]),
            [walk.camera] * len(targets),
            list(walk.poses[targets]),
            height=height,
            width=width,
            depths=[walk.depth[i].float() for i in context],
            generator=torch.Generator().manual_seed(seed),
        )
        assert isinstance(output, GacPipelineOutput)
        assert output.depth is not None, "it is drawn where nobody says otherwise"
        images = (output.images * 255).round().byte().permute(0, 2, 3, 1).cpu()
        return list(images), list(output.depth.cpu())


@dataclass(frozen=True)
class _LoadEncoder:
    """Loads what encodes walks, in every process that makes them; picklable."""

    autoencoder: str
    device: str
    code: DepthCode

    def __call__(self) -> GeometryEncoder:
        return GeometryEncoder(load_autoencoder(self.autoencoder).to(self.device), self.code)


def gac_task(recipe: GacRecipe, *, cache: Path, accelerator: Accelerator) -> GacTask:
    """Return the training of a network.

    :raises RecipeError: a field of the network that does not exist or does not fit, views of a size that it does not
        take, or another network to start from.
    :raises ModelError: the autoencoder, or the pipeline to start from, cannot be loaded.
    """
    vae, data = load_autoencoder(recipe.autoencoder), recipe.data
    torch.manual_seed(recipe.seed)
    computed = {"latent_channels": vae.config.latent_channels, "downsampling": downsampling(vae)}
    network = build_network(GacTransformer, recipe.network, computed)
    check_views(network.multiple, data.size)
    if recipe.start is None:
        network.start()
    else:
        copy_weights(network, recipe.start, lambda folder: read_pipeline_of(GacPipeline, folder).transformer)
    most = recipe.sequences.context[1]
    code = DepthCode(recipe.depth.near_m, recipe.depth.far_m, recipe.depth.curve)
    pipeline = GacPipeline(
        network,
        vae.requires_grad_(False),
        flow_scheduler(recipe.flow.shift),
        **recipe.depth.model_dump(),
        unit_m=recipe.unit_m,
        frames=recipe.sequences.views - most,
        context=most,
        sampling=recipe.sampling.model_dump(),
        max_side=max(data.size),
    ).to(accelerator.device)
    pipeline.set_progress_bar_config(disable=True)
    load_encoder = _LoadEncoder(recipe.autoencoder, str(accelerator.device), code)
    walks: WalkStream[EncodedGeometryWalk] = WalkStream(
        OpenEncodedCaches(cache, data, load_encoder, GeometryWalkFactory, EncodedGeometryWalk),
        data,
        produces=accelerator.is_local_main_process,
    )
    of_pixels = functools.partial(decode, vae) if recipe.flow.error == "pixels" else None
    return GacTask(
        pipeline,
        SequenceSampler(walks, recipe.sequences, unit_m=recipe.unit_m, seed=recipe.seed),
        FlowObjective(network, recipe.flow, of_pixels),
        lambda: evaluation_walks(cache, data, recipe.reporting.sample_sets, GeometryWalkFactory),
        walks.close,
    )


def _picture(depth: Tensor) -> Tensor:
    return depth_colors(depth, near_m=_NEAR_M, far_m=_FAR_M)
