"""The training of the video networks of Spatia and Mirage, which are told what their memory shows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vmem_ros.generation.vmem.autoencoding import decode, downsampling
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline_of, write_pipeline
from vmem_ros.generation.wan.generator import SpatiaGenerator
from vmem_ros.generation.wan.network import SceneWanTransformer3DModel
from vmem_ros.generation.wan.pipeline import SceneWanPipeline
from vmem_ros.generation.wan.schedules import euler_scheduler
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.training.data.clip_walks import ClipWalkEncoder, EncodedClipWalk
from vmem_ros.training.data.clips import ClipSampler
from vmem_ros.training.data.geometry_walks import GeometryWalk, GeometryWalkFactory
from vmem_ros.training.data.walk_caches import OpenEncodedCaches, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.clips import ClipRecipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.tasks.autoencoder_classes import load_autoencoder
from vmem_ros.training.tasks.clip_objective import ClipObjective
from vmem_ros.training.tasks.new_network import build_network, check_views, copy_weights
from vmem_ros.training.tasks.view_scores import ViewScores
from vmem_ros.types import Recall, Target


@dataclass(eq=False)
class ClipTask:
    """See :class:`vmem_ros.training.tasks.task.Task`.

    :param engine: what draws with the pipeline, on sample sheets as in use; ``engine_options`` are those that it needs.
    :param encoder: whose memory evaluation walks are remembered in.
    :param evaluation: returns walks for sample sheets, each of which gives one clip.
    :param stop: ends the processes that make walks.
    """

    engine: SpatiaGenerator
    engine_options: Mapping[str, Any]
    sampler: ClipSampler
    objective: ClipObjective
    encoder: ClipWalkEncoder
    evaluation: Callable[[], list[GeometryWalk]]
    stop: Callable[[], None]

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        return self.engine.pipeline.transformer

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of ``count`` clips; see :class:`~vmem_ros.training.tasks.task.Task`."""
        return self.objective(network, self.sampler.batch(first, count).to(self.engine.pipeline.device), generator)

    @torch.no_grad()
    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw chunks of evaluation walks from true views, as the engine does in use, and compare them with the truth.

        Clips go from chunks early in a walk, of which memory shows little, to late ones.
        """
        blocks, scores = [], ViewScores()
        training = self.network.training
        self.network.eval()
        walks = self.evaluation()
        for index, walk in enumerate(walks):
            recall, targets = self._recalled(walk, (index + 0.5) / len(walks))
            wanted = [Target(walk.camera, walk.poses[i]) for i in targets]
            drawn = [view.image.cpu() for view in self.engine.generate(recall, wanted, seed=index)]
            truth = [walk.images[i] for i in targets]
            shown, seen = ([getattr(p, name) for p in recall.projections] for name in ("image", "seen"))
            quality = scores.add(drawn, truth, shown, seen)
            rows = {"truth": truth, "memory": shown, "drawn": drawn, "recalled": [v.image for v in recall.views]}
            blocks.append(Block(f"{float(torch.stack(seen).float().mean()):.0%} remembered, {quality:.1f} dB", rows))
        self.network.train(training)
        write_image_grid(sheet, blocks)
        return scores.figures()

    def save(self, folder: Path) -> str:
        """Write the pipeline."""
        size = write_pipeline(self.engine.pipeline, folder, overwrite=True)
        options = "".join(f" --engine-option {name}={value}" for name, value in self.engine_options.items())
        return (
            f"wrote the pipeline {folder} ({size / 1e6:.1f} MB); draw with it:\n  vmem explore --house 1000000 "
            f"--memory {self.encoder.kind} --engine {self.engine.name} --model {folder.absolute()}{options}"
        )

    def close(self) -> None:
        """End the processes that make walks."""
        self.stop()

    def _recalled(self, walk: GeometryWalk, rank: float) -> tuple[Recall, list[int]]:
        """Return what memory recalls for a chunk, at a share ``rank`` of the walk, and its views."""
        size = self.encoder.data.chunk
        wanted = int(rank * ((len(walk.images) - 1) // size))
        recall = next(islice(self.encoder.remembered(walk).readings(), wanted, None))
        return recall, list(range(1 + wanted * size, 1 + (wanted + 1) * size))


@dataclass(frozen=True)
class _LoadEncoder:
    """Loads what encodes walks, in every process that makes them; picklable."""

    kind: type[ClipWalkEncoder]
    autoencoder: str
    device: str
    data: Data

    def __call__(self) -> ClipWalkEncoder:
        return self.kind(load_autoencoder(self.autoencoder).to(self.device), self.data)


def clip_task(
    recipe: ClipRecipe,
    engine: type[SpatiaGenerator],
    encoder: type[ClipWalkEncoder],
    *,
    history: int,
    preceding: int,
    cache: Path,
    accelerator: Accelerator,
    engine_options: Mapping[str, Any],
) -> ClipTask:
    """Return the training of a network.

    :param history: known views that a continued clip begins with, and ``preceding`` ones before them.
    :param engine_options: of the engine.
    :raises RecipeError: a field of the network that does not exist or does not fit, views of a size that it does not
        take, or another network to start from.
    :raises ModelError: the autoencoder, or the pipeline to start from, cannot be loaded.
    """
    vae, data = load_autoencoder(recipe.autoencoder), recipe.data
    torch.manual_seed(recipe.seed)
    channels = vae.config.latent_channels
    computed = {"in_channels": channels, "out_channels": channels, "vace_in_channels": 2 * channels}
    network = build_network(SceneWanTransformer3DModel, recipe.network, computed)
    check_views(downsampling(vae) * max(network.divisor), data.size)
    if recipe.start is None:
        start(network)
    else:
        copy_weights(network, recipe.start, lambda folder: read_pipeline_of(SceneWanPipeline, folder).transformer)
    pipeline = SceneWanPipeline(
        network,
        vae.requires_grad_(False),
        euler_scheduler(recipe.flow.shift),
        rounds={"first": 1 + data.chunk, "later": history + data.chunk, "history": history},
        sampling={**recipe.sampling.model_dump(), "guidance_scale": 1.0},
        max_references=recipe.clips.references,
        max_side=max(data.size),
    ).to(accelerator.device)
    load_encoder = _LoadEncoder(encoder, recipe.autoencoder, str(accelerator.device), data)
    walks: WalkStream[EncodedClipWalk] = WalkStream(
        OpenEncodedCaches(cache, data, load_encoder, GeometryWalkFactory, EncodedClipWalk),
        data,
        produces=accelerator.is_local_main_process,
    )
    perfect = data.model_copy(update={"imperfect": 0.0, "remembered": (1.0, 1.0)})
    return ClipTask(
        engine(pipeline, **engine_options),
        engine_options,
        ClipSampler(walks, recipe.clips, chunk=data.chunk, history=history, preceding=preceding, seed=recipe.seed),
        ClipObjective(recipe.flow, functools.partial(decode, vae) if recipe.flow.error == "pixels" else None),
        encoder(vae, perfect),
        lambda: evaluation_walks(cache, data, recipe.reporting.sample_sets, GeometryWalkFactory),
        walks.close,
    )


@torch.no_grad()
def start(network: SceneWanTransformer3DModel) -> None:
    """Make a new network begin as the identity of its blocks, with open gates and an output of zero."""
    for block in (*network.blocks, *network.vace_blocks):
        # Shift, scale and gate of the attention, and of the feed-forward layer.
        block.scale_shift_table.zero_()
        block.scale_shift_table[:, [2, 5]] = 1
        for last in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    nn.init.zeros_(network.proj_out.weight)
    nn.init.zeros_(network.proj_out.bias)
