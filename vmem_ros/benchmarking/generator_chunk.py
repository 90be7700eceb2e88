"""A whole chunk: denoising with every sampler and saving that gives other numbers, decoding, embedding."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from vmem_ros.benchmarking.analytic_denoiser import AnalyticDenoiser
from vmem_ros.benchmarking.generator_device import peak_gb
from vmem_ros.benchmarking.generator_network import decode_all, decode_new, prepared, times_faster, unoptimised
from vmem_ros.benchmarking.generator_workload import Workload, count
from vmem_ros.benchmarking.result import Row
from vmem_ros.benchmarking.timing import measure_stepwise
from vmem_ros.generation.vmem.autoencoding import decode
from vmem_ros.generation.vmem.caching import TaylorCache
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.guidance import GuidanceInterval
from vmem_ros.generation.vmem.image_embedding import embed
from vmem_ros.generation.vmem.network import MultiviewUNet, attention_backend
from vmem_ros.generation.vmem.sampling import sample
from vmem_ros.generation.vmem.sampling_options import Sampler
from vmem_ros.generation.vmem.schedules import published_scheduler, sampling_scheduler

#: Noise levels with guidance: half of the evaluations of the fast sampler lie in it.
INTERVAL = (0.5, 15.0)
_SCALE = 2.0
# Steps of the call that does not count.
_WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Recipe:
    """How a chunk is sampled.

    :param interval: noise levels with guidance; ``None``: all.
    :param cached: evaluate every third step and extrapolate, as an experiment.
    :param unoptimised: with the network as published, which also decodes the references.
    """

    sampler: Sampler
    steps: int
    interval: tuple[float, float] | None = None
    cached: bool = False
    unoptimised: bool = False

    @property
    def cache(self) -> TaylorCache | None:
        """A new cache, where there shall be one."""
        return TaylorCache(interval=3) if self.cached else None

    @property
    def name(self) -> str:
        """What distinguishes it."""
        notes = [
            "unoptimised" if self.unoptimised else "",
            "guidance interval" if self.interval else "",
            "TaylorCache" if self.cached else "",
        ]
        return ", ".join([f"{self.sampler} {self.steps}", *(note for note in notes if note)])


#: What is compared; the published way, unoptimised, comes first.
RECIPES = (
    Recipe("published", 50, unoptimised=True),
    Recipe("published", 50),
    Recipe("published", 50, cached=True),
    Recipe("published", 25),
    Recipe("fast", 15),
    Recipe("fast", 8),
    Recipe("fast", 8, interval=INTERVAL),
)


class Chunk:
    """Draws the chunk of a workload in the way of a recipe.

    :param image_encoder: embeds the new images, where the model has one.
    """

    def __init__(self, workload: Workload, image_encoder: CLIPVisionModelWithProjection | None, recipe: Recipe) -> None:
        self._workload, self._image_encoder, self._recipe = workload, image_encoder, recipe
        self._network = _Counted(workload.unet, unoptimised=recipe.unoptimised)

    @torch.no_grad()
    def draw(self, steps: int) -> Iterator[Tensor]:
        """Yield after every step the estimate of the latents, and at last the new images.

        :param steps: of the recipe, or fewer to warm up.
        """
        workload, recipe, network = self._workload, self._recipe, self._network
        network.halves = 0
        conditioning, unet = workload.conditioning, workload.unet
        references = workload.size.references
        scales = torch.full((workload.size.frames,), _SCALE, device=unet.device)
        interval = None if recipe.interval is None else GuidanceInterval(*recipe.interval)
        denoiser = Denoiser(network, conditioning, scales, interval=interval, dtype=unet.dtype)
        scheduler = sampling_scheduler(published_scheduler(), recipe.sampler, steps, device=unet.device)
        noise = workload.noisy[: workload.size.frames].float()
        for step in sample(denoiser, scheduler, noise, cache=recipe.cache):
            yield step.clean
        if recipe.unoptimised:
            images = decode(workload.vae, step.latents)[references:]
        else:
            images = decode(workload.vae, step.latents[references:])
        if self._image_encoder is not None:
            embed(self._image_encoder, images.clamp(-1, 1))
        yield images

    @property
    def halves(self) -> int:
        """Sets of frames that went through the network in the last call."""
        return self._network.halves


class _Counted:
    """A network that counts the sets of frames it sees, and may forgo every exact saving."""

    def __init__(self, unet: MultiviewUNet, *, unoptimised: bool) -> None:
        self._unet, self._unoptimised = unet, unoptimised
        self.halves = 0

    def prepare(self, encoder_hidden_states: Tensor, dense_conditioning: Tensor, num_frames: int) -> Any:
        """Return the conditioning, prepared or as it is."""
        if not self._unoptimised:
            return self._unet.prepare(encoder_hidden_states, dense_conditioning, num_frames)
        sets = len(encoder_hidden_states) // num_frames
        return encoder_hidden_states, dense_conditioning.repeat(sets, 1, 1, 1)

    def __call__(self, sample: Tensor, timestep: Tensor, *, num_frames: int, prepared: Any) -> Any:
        """Return what the network predicts."""
        self.halves += len(sample) // num_frames
        if not self._unoptimised:
            return self._unet(sample, timestep, num_frames=num_frames, prepared=prepared)
        with attention_backend("fused"):
            return self._unet(sample, timestep, *prepared, num_frames)


def chunk_figures(
    plain: Workload,
    fastest: Workload,
    image_encoder: CLIPVisionModelWithProjection | None,
    meta: Workload,
    *,
    repeats: int,
    recipes: Sequence[Recipe] = RECIPES,
) -> list[Row]:
    """Return a row per recipe.

    :param plain: with the unoptimised network.
    :param fastest: with the network at its best.
    """
    targets = plain.size.targets
    chunks = [Chunk(plain if recipe.unoptimised else fastest, image_encoder, recipe) for recipe in recipes]
    for chunk, recipe in zip(chunks, recipes, strict=True):
        _exhaust(chunk, min(_WARM_UP_STEPS, recipe.steps))
    works = [partial(chunk.draw, recipe.steps) for chunk, recipe in zip(chunks, recipes, strict=True)]
    timings = measure_stepwise(works, [recipe.steps + 1 for recipe in recipes], repeats=repeats)
    mixture = AnalyticDenoiser()
    rows: list[Row] = []
    for chunk, recipe, timing in zip(chunks, recipes, timings, strict=True):
        flops = _flops(meta, recipe, chunk.halves)
        rows.append(
            {
                "sampler": recipe.name,
                "s per frame": timing.median_ms / 1e3 / targets,
                "times faster": times_faster(timings[0], timing),
                "passes": chunk.halves,
                "GFLOP per frame": flops / 1e9 / targets,
                "error %": float("nan") if recipe.interval else 100 * _error(mixture, recipe),
                **peak_gb(plain.unet.device, partial(_exhaust, chunk, recipe.steps)),
            }
        )
    return rows


def _flops(meta: Workload, recipe: Recipe, halves: int) -> int:
    """Return the operations of a chunk, without those of the image encoder."""
    both, decoded = (unoptimised, decode_all) if recipe.unoptimised else (prepared, decode_new)
    return count(meta, both).total * halves // 2 + count(meta, decoded).total


def _error(mixture: AnalyticDenoiser, recipe: Recipe) -> float:
    return mixture.error(recipe.sampler, recipe.steps, cache=recipe.cache)


def _exhaust(chunk: Chunk, steps: int) -> None:
    deque(chunk.draw(steps), maxlen=0)
