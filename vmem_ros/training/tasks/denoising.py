"""The training of the multi-view network of a pipeline, whole or as a low-rank adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vmem_ros.generation.vmem.pipeline import VMemPipeline, VMemPipelineOutput
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.training.data.house_walks import ViewWalk
from vmem_ros.training.data.view_sets import ViewSetSampler
from vmem_ros.training.recipes.denoising import Conditions, SampleSheets
from vmem_ros.training.tasks.adversary import AdversarialPair
from vmem_ros.training.tasks.denoising_objective import DenoisingObjective
from vmem_ros.training.tasks.view_scores import ViewScores
from vmem_ros.types import Projection


@dataclass(eq=False)
class DenoisingTask:
    """See :class:`vmem_ros.training.tasks.task.Task`.

    :param pipeline: whose ``unet`` is trained.
    :param evaluation: returns walks for sample sheets, each of which gives one set.
    :param write: writes the result into a folder and says what it is.
    :param stop: ends the processes that make walks.
    :param pair: the network and its adversary, if it has one.
    """

    pipeline: VMemPipeline
    sampler: ViewSetSampler
    objective: DenoisingObjective
    conditions: Conditions
    sampling: SampleSheets
    evaluation: Callable[[], list[ViewWalk]]
    write: Callable[[Path], str]
    stop: Callable[[], None]
    pair: AdversarialPair | None = None

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        return self.pair or self.pipeline.unet

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of ``count`` sets of views; see :class:`~vmem_ros.training.tasks.task.Task`."""
        return self.objective(network, self.sampler.batch(first, count).to(self.pipeline.device), generator)

    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw chunks of evaluation walks from true references, as in sampling, and compare them with the truth.

        Sets go from chunks that memory shows little of to those that it shows nearly all of.
        """
        blocks, scores = [], ViewScores()
        training = self.network.training
        self.network.eval()
        walks = self.evaluation()
        for index, walk in enumerate(walks):
            chunk = _chunk_by_visibility(walk, (index + 0.5) / len(walks))
            references, targets = self._choose(walk, chunk)
            drawn = self._draw(walk, references, targets, seed=index)
            truth = [walk.images[i] for i in targets]
            shown, seen = ([kept[i - 1] for i in targets] for kept in (walk.shown, walk.seen))
            quality = scores.add(drawn, truth, shown, seen)
            share = float(torch.stack(seen).float().mean())
            title = f"{share:.0%} remembered, {quality:.1f} dB"
            rows = {"truth": truth, "memory": shown, "drawn": drawn, "references": [walk.images[i] for i in references]}
            blocks.append(Block(title, rows))
        self.network.train(training)
        write_image_grid(sheet, blocks)
        return scores.figures()

    def save(self, folder: Path) -> str:
        """Write the result."""
        return self.write(folder)

    def close(self) -> None:
        """End the processes that make walks."""
        self.stop()

    def _choose(self, walk: ViewWalk, chunk: int) -> tuple[list[int], list[int]]:
        """Return references, nearest first, and targets of a chunk."""
        size = (len(walk.images) - 1) // len(walk.recalled)
        targets = list(range(1 + chunk * size, 1 + (chunk + 1) * size))
        count = max(1, self.conditions.frames - size)
        references = [index for index in walk.recalled[chunk].tolist() if index >= 0][:count]
        distance = geodesic_distance(walk.poses[references], average_pose(walk.poses[targets]))
        return [references[int(i)] for i in torch.argsort(distance, stable=True)], targets

    def _draw(self, walk: ViewWalk, references: list[int], targets: list[int], *, seed: int) -> list[Tensor]:
        """Return images [H, W, 3] uint8 of the targets."""
        pipeline = self.pipeline
        slots = [min(i, len(targets) - 1) for i in range(max(len(targets), self.conditions.frames - len(references)))]
        wanted = [targets[slot] for slot in slots]
        projections = None
        if pipeline.unet.config.projection_channels:
            projections = [_projection(walk, i - 1) for i in wanted]
        height, width = walk.images.shape[1:3]
        pipeline.set_progress_bar_config(disable=True)
        output = pipeline(
            [walk.images[i] for i in references],
            [walk.camera] * len(references),
            walk.poses[references],
            [walk.camera] * len(wanted),
            walk.poses[wanted],
            height=height,
            width=width,
            sampler="fast",
            num_inference_steps=self.sampling.num_inference_steps,
            guidance_scale=self.sampling.guidance_scale,
            projections=projections,
            generator=torch.Generator().manual_seed(seed),
        )
        assert isinstance(output, VMemPipelineOutput), "return_dict is the default"
        images = torch.as_tensor(output.images)[: len(targets)]
        return list((images * 255).round().byte().permute(0, 2, 3, 1).cpu())


def _chunk_by_visibility(walk: ViewWalk, rank: float) -> int:
    """Return the chunk that memory shows more of than a share ``rank`` of the others; the first ones are left out."""
    chunks = len(walk.recalled)
    share = walk.seen.float().mean(dim=(1, 2)).view(chunks, -1).mean(dim=1)
    candidates = list(range(chunks // 4, chunks))
    candidates.sort(key=lambda chunk: float(share[chunk]))
    return candidates[min(int(rank * len(candidates)), len(candidates) - 1)]


def _projection(walk: ViewWalk, index: int) -> Projection:
    """Return what memory showed as a projection of which only picture, mask and depth are used."""
    seen = walk.seen[index]
    depth = torch.where(seen, walk.depth[index].float(), torch.nan)
    return Projection(walk.shown[index], depth, seen, torch.where(seen, 0, -1), seen.float())
