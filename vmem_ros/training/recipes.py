"""What a training is: the fields of ``config/training/*.yaml``, each with its meaning and range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vmem_ros.generation.vmem.prediction import Prediction
from vmem_ros.generation.vmem.room_filling import HoleFilling
from vmem_ros.scenes import TimeOfDay

Precision = Literal["no", "bf16", "fp16"]
#: How the learning rate goes after its warm-up: constant, or along half a cosine down to ``final_lr`` of it.
LearningRate = Literal["constant", "cosine"]
#: What errors are of.
Error = Literal["latents", "pixels"]
AutoencoderClass = Literal["AutoencoderKL", "AutoencoderTiny", "PatchAutoencoder"]


def _at_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least:g}, got {value:g}")


def _positive_or_null(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive or null, got {value:g}")


def _shares(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be 0 to 1, got {value:g}")


def _range(name: str, values: tuple[float, float], least: float, most: float) -> None:
    if not least <= values[0] <= values[1] <= most:
        raise ValueError(f"{name} must be two rising numbers between {least:g} and {most:g}, got {list(values)}")


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are changed.

    :param steps: optimiser steps in all.
    :param batch: samples per step and device.
    :param lr: learning rate of AdamW after ``warmup_steps`` of linear rise.
    :param final_lr: share of ``lr`` at the last step of a cosine.
    :param max_grad_norm: gradients are scaled down to this norm.
    :param ema_decay: of the running mean of the weights, which is what is saved; 0: the weights themselves. It rises
        towards this value over the first steps.
    :param precision: of the forward pass; weights stay float32.
    :param compile: compile the network: minutes at the start, then about a quarter less time per step on a processor.
    """

    steps: int
    batch: int
    lr: float
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 200
    schedule: LearningRate = "constant"
    final_lr: float = 0.0
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    precision: Precision = "no"
    compile: bool = False

    def __post_init__(self) -> None:
        _at_least(1, steps=self.steps, batch=self.batch)
        _at_least(0, lr=self.lr, weight_decay=self.weight_decay, warmup_steps=self.warmup_steps)
        _shares(final_lr=self.final_lr, ema_decay=self.ema_decay)
        _range("betas", self.betas, 0, 1)
        if not self.max_grad_norm > 0:
            raise ValueError(f"max_grad_norm must be positive, got {self.max_grad_norm:g}")


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """What is written while training.

    :param log_every: steps between lines of ``log.jsonl``.
    :param checkpoint_every: steps between checkpoints, of which the last ``keep_checkpoints`` stay.
    :param sample_every: steps between sample sheets.
    :param sample_sets: sets of views on a sheet, each of another evaluation house.
    """

    log_every: int = 20
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    sample_every: int = 1000
    sample_sets: int = 4

    def __post_init__(self) -> None:
        _at_least(
            1,
            log_every=self.log_every,
            checkpoint_every=self.checkpoint_every,
            keep_checkpoints=self.keep_checkpoints,
            sample_every=self.sample_every,
            sample_sets=self.sample_sets,
        )


@dataclass(frozen=True, kw_only=True)
class Data:
    """Walks through procedural houses, remembered on the way (:mod:`vmem_ros.training.house_walks`).

    Training goes through ever new walks: the n-th sample is drawn from the newest ``window`` walks of the first
    ``first_walks + n / samples_per_walk``. That is also what bounds the cache.

    :param size: height and width of the views in pixels.
    :param fov_deg: range of the horizontal field of view.
    :param step_m: range of the distance between views of a random walk.
    :param chunks: chunks of a walk.
    :param chunk: views of a chunk, which memory is read for at once.
    :param supersample: rays per pixel and axis.
    :param walks_per_house: a house's light costs as much as 60 views of it.
    :param time_of_day: of the houses: another style of light for an adapter to learn.
    :param remembered: range, over walks, of the share of chunks that memory keeps; less makes larger holes.
    :param imperfect: share of the remembered views that are blurred and whose depth is wrong, as generated ones are.
    :param workers: processes that make walks; 0: the training process makes them when it needs them.
    """

    size: tuple[int, int] = (128, 128)
    fov_deg: tuple[float, float] = (60.0, 80.0)
    step_m: tuple[float, float] = (0.15, 0.5)
    chunks: int = 12
    chunk: int = 4
    supersample: int = 1
    walks_per_house: int = 2
    time_of_day: TimeOfDay = "day"
    remembered: tuple[float, float] = (0.3, 1.0)
    imperfect: float = 0.5
    window: int = 2000
    samples_per_walk: int = 12
    first_walks: int = 16
    workers: int = 1

    def __post_init__(self) -> None:
        _at_least(
            1,
            height=self.size[0],
            width=self.size[1],
            chunks=self.chunks,
            chunk=self.chunk,
            supersample=self.supersample,
            walks_per_house=self.walks_per_house,
            window=self.window,
            samples_per_walk=self.samples_per_walk,
            first_walks=self.first_walks,
        )
        _at_least(0, workers=self.workers)
        _shares(imperfect=self.imperfect)
        _range("fov_deg", self.fov_deg, 20, 120)
        _range("step_m", self.step_m, 0.01, 2)
        _range("remembered", self.remembered, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How sample sheets are drawn, with the pipeline that is being trained."""

    num_inference_steps: int = 8
    guidance_scale: float = 1.5

    def __post_init__(self) -> None:
        _at_least(1, num_inference_steps=self.num_inference_steps)
        _at_least(0, guidance_scale=self.guidance_scale)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the network is told in training: drawn at random, made worse, and left out now and then.

    A model is trained on the truth but runs on its own output: references and projections are disturbed, so that it
    learns not to trust them in every detail.

    :param frames: frames of a set; those that references leave are targets, repeated as in sampling.
    :param few_references: share of the batches with fewer references than ``frames`` less the chunk.
    :param recalled: share of the sets whose references are those that memory recalled; the others' are random ones.
    :param drop_all: share of the sets that know nothing but their rays, for guidance without classifier.
    :param drop_projection: share of the sets that are not told what memory shows.
    :param noise: largest standard deviation of noise on latents of references and projections; sets get a share of it.
    :param blur: share of the sets whose references are blurred by half a latent cell.
    """

    frames: int = 8
    few_references: float = 0.25
    recalled: float = 0.5
    drop_all: float = 0.1
    drop_projection: float = 0.15
    noise: float = 0.15
    blur: float = 0.15

    def __post_init__(self) -> None:
        _at_least(2, frames=self.frames)
        _at_least(0, noise=self.noise)
        _shares(
            few_references=self.few_references,
            recalled=self.recalled,
            drop_all=self.drop_all,
            drop_projection=self.drop_projection,
            blur=self.blur,
        )


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """The noise levels, and what the loss counts.

    :param levels: ``log``: 1000 levels at equal ratios from ``sigma[0]`` to ``sigma[1]``; ``published``: those of the
        published weights.
    :param prediction: what the network predicts.
    :param log_normal: mean and standard deviation of log(sigma) in training (Karras et al., arXiv 2206.00364): where
        there is next to no noise, or little else, there is little to learn. ``None``: all levels equally often.
    :param min_snr: squared errors of the clean latents count 1 / sigma^2, but at most this much (Hang et al., arXiv
        2303.09556); where the network predicts these latents, 1 + 1 / sigma^2, as errors of the velocity do. ``None``:
        every level counts as the network's output does.
    :param pure_noise: share of the sets at the highest level, beside those that get it anyway: where every drawing
        begins, and all that a model that draws in one step ever sees.
    :param error: ``latents``: squared errors of what the network predicts, whose best answer is the mean of all that is
        possible; ``pixels``: absolute errors of the decoded images, whose best answer is the median, which keeps edges
        sharp where the mean is a blur. An autoencoder that is cheap to decode costs little.
    :param unseen: how much more errors of pixels count where memory shows nothing: worlds lay what is remembered over
        what is drawn anyway.
    """

    levels: Literal["log", "published"] = "log"
    sigma: tuple[float, float] = (0.02, 40.0)
    prediction: Prediction = "epsilon"
    log_normal: tuple[float, float] | None = None
    min_snr: float | None = None
    pure_noise: float = 0.0
    error: Error = "latents"
    unseen: float = 1.0

    def __post_init__(self) -> None:
        _shares(pure_noise=self.pure_noise)
        _at_least(0, unseen=self.unseen)
        _range("sigma", self.sigma, 1e-4, 1e4)
        if self.log_normal is not None and not self.log_normal[1] > 0:
            raise ValueError(f"the deviation of log_normal must be positive, got {self.log_normal[1]:g}")
        _positive_or_null(min_snr=self.min_snr)


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """A network that learns to tell drawn views from true ones (:class:`~vmem_ros.training.adversary.Adversary`).

    :param width: channels of its first layer.
    :param weight: what its doubts count beside the errors; at 0.05 the network outran it within a hundred steps.
    :param rate: its learning rate as a multiple of the network's. It must keep ahead of the network.
    """

    width: int = 32
    weight: float = 0.005
    rate: float = 2.0

    def __post_init__(self) -> None:
        _at_least(1, width=self.width)
        _at_least(0, weight=self.weight, rate=self.rate)


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """``vmem train autoencoder``: images to latents and back.

    :param kind: class of the autoencoder; ``config``: its fields.
    :param whitening: how alike the latents of a ``PatchAutoencoder`` are made (:meth:`PatchAutoencoder.fit`).
    :param edges: weight of errors of differences between neighbouring pixels, at three scales.
    :param kl: weight of the Kullback-Leibler term per latent, or of the squared latents where there is no distribution.
    :param latent_noise: standard deviation of noise on latents in training, as a share of theirs: what the network
        gets wrong must not show.
    """

    seed: int = 0
    kind: AutoencoderClass
    config: dict[str, Any]
    whitening: float = 0.5
    edges: float = 1.0
    kl: float = 1e-6
    latent_noise: float = 0.0
    optimisation: Optimisation
    data: Data = field(default_factory=Data)
    reporting: Reporting = field(default_factory=Reporting)

    def __post_init__(self) -> None:
        _at_least(0, seed=self.seed, edges=self.edges, kl=self.kl, latent_noise=self.latent_noise)
        _shares(whitening=self.whitening)


@dataclass(frozen=True, kw_only=True)
class GeneratorRecipe:
    """``vmem train generator``: the multi-view U-Net of a pipeline.

    :param autoencoder: folder of a trained autoencoder.
    :param network: fields of ``MultiviewUNet``; channels follow from the autoencoder.
    :param start: folder of a pipeline whose network the training starts from, say one trained on smaller views, which
        takes a fraction of the time. ``None``: from nothing.
    :param projection: whether it is told what memory shows at the targets.
    :param residual: whether it predicts differences to what memory shows.
    :param hole_filling: what stands in the holes of that: colours from around them, or of the surfaces of a room.
    :param adversary: a network to draw against, where errors are of pixels. ``None``: none.
    """

    seed: int = 0
    autoencoder: str
    network: dict[str, Any]
    start: str | None = None
    projection: bool = True
    residual: bool = False
    hole_filling: HoleFilling = "smooth"
    adversary: Adversarial | None = None
    diffusion: Diffusion = field(default_factory=Diffusion)
    conditions: Conditions = field(default_factory=Conditions)
    optimisation: Optimisation
    data: Data = field(default_factory=Data)
    sampling: Sampling = field(default_factory=Sampling)
    reporting: Reporting = field(default_factory=Reporting)

    def __post_init__(self) -> None:
        _at_least(0, seed=self.seed)
        if self.residual and not self.projection:
            raise ValueError("residual: true needs projection: true")
        if self.adversary and not (self.projection and self.diffusion.error == "pixels"):
            raise ValueError("an adversary needs projection: true and diffusion.error: pixels")


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A low-rank adapter.

    :param alpha: the adapter counts alpha / rank; by default 1.
    :param modules: names, or ends of names, of the layers that get one.
    """

    rank: int
    alpha: float | None = None
    modules: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")

    def __post_init__(self) -> None:
        _at_least(1, rank=self.rank)
        if not self.modules:
            raise ValueError("modules must name at least one layer")


@dataclass(frozen=True, kw_only=True)
class LoraRecipe:
    """``vmem train lora``: a low-rank adapter for the network of a pipeline.

    :param pipeline: folder of the pipeline.
    :param checkpointing: compute activations again for the gradient: a third more work, a fraction of the memory.
    :param min_snr: what the loss counts, see :class:`Diffusion`, as ``pure_noise``, ``error`` and ``unseen``: best what
        the pipeline's own training had.
    """

    seed: int = 0
    pipeline: str
    adapter: Adapter
    checkpointing: bool = False
    min_snr: float | None = None
    pure_noise: float = 0.0
    error: Error = "latents"
    unseen: float = 1.0
    conditions: Conditions = field(default_factory=Conditions)
    optimisation: Optimisation
    data: Data = field(default_factory=Data)
    sampling: Sampling = field(default_factory=Sampling)
    reporting: Reporting = field(default_factory=Reporting)

    def __post_init__(self) -> None:
        _at_least(0, seed=self.seed)
        _positive_or_null(min_snr=self.min_snr)
        _shares(pure_noise=self.pure_noise)
        _at_least(0, unseen=self.unseen)
