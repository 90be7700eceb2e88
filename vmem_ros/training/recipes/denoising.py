"""Sections of recipes that train the denoising network of a pipeline, whole or through an adapter."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vmem_ros.generation.vmem.prediction import Prediction
from vmem_ros.training.recipes.section import Count, FloatPair, NonNegative, Positive, Section, Share, rising

#: What errors are measured on.
ErrorSpace = Literal["latents", "pixels"]


class SampleSheets(Section):
    """How the pipeline that is being trained draws its sample sheets."""

    num_inference_steps: Count = 8
    guidance_scale: NonNegative = 1.5


class Conditions(Section):
    """What the network is told in training: drawn at random, disturbed, and left out now and then.

    A model is trained on true views but runs on generated ones: references and projections are disturbed, so that it
    learns not to trust them in every detail.

    :param frames: frames of a set: references, then targets, the last of which is repeated as in sampling.
    :param few_references: share of the batches with fewer references than ``frames`` less the chunk.
    :param recalled: share of the sets whose references are those that memory recalled; others get random ones nearby.
    :param drop_all: share of the sets that are told nothing but the rays, for classifier-free guidance.
    :param drop_projection: share of the sets that are not told what memory shows.
    :param noise: largest standard deviation of noise on latents of references and projections; a set gets a random
        share of it.
    :param blur: share of the sets whose references are blurred by half a latent cell.
    """

    frames: Annotated[int, Field(ge=2)] = 8
    few_references: Share = 0.25
    recalled: Share = 0.5
    drop_all: Share = 0.1
    drop_projection: Share = 0.15
    noise: NonNegative = 0.15
    blur: Share = 0.15


def with_spread(values: tuple[float, float]) -> tuple[float, float]:
    """Return a mean and a standard deviation, or raise :class:`ValueError`."""
    if not values[1] > 0:
        raise ValueError(f"must be a mean and a positive standard deviation, got {list(values)}")
    return values


class Loss(Section):
    """Which noise levels a network is trained at, and how its errors are weighted.

    :param min_snr: squared errors of the clean latents are weighted by 1 / sigma^2, but by no more than this (Hang et
        al., arXiv 2303.09556); where the network predicts clean latents, by 1 + 1 / sigma^2, as errors of the velocity
        are. ``None``: errors of the network's output are weighted equally at every level.
    :param pure_noise: share of the sets at the highest level, beside those that get it anyway: it is where sampling
        begins, and the only level that a model which samples in one step ever sees.
    :param error: ``latents``: squared errors of the network's output, whose best answer is the mean of all possible
        views, a blur. ``pixels``: absolute errors of decoded images, whose best answer is the median, which keeps edges
        sharp. That costs a decoding per step.
    :param unseen: weight of pixel errors in holes, where memory shows nothing, relative to the rest. Elsewhere worlds
        lay remembered pixels over the generated image, so errors there hardly show.
    """

    min_snr: Positive | None = None
    pure_noise: Share = 0.0
    error: ErrorSpace = "latents"
    unseen: NonNegative = 1.0


class Diffusion(Loss):
    """The noise levels of a new network, and its loss.

    :param levels: ``log``: 1000 levels at equal ratios from ``sigma[0]`` to ``sigma[1]``; ``published``: those of the
        published weights.
    :param prediction: what the network predicts.
    :param log_normal: mean and standard deviation of log(sigma) in training (Karras et al., arXiv 2206.00364): there is
        little to learn where there is almost no noise, or almost nothing else. ``None``: all levels are equally likely.
    """

    levels: Literal["log", "published"] = "log"
    sigma: Annotated[FloatPair, AfterValidator(rising(1e-4, 1e4))] = (0.02, 40.0)
    prediction: Prediction = "epsilon"
    log_normal: Annotated[FloatPair, AfterValidator(with_spread)] | None = None


#: What an adversary looks at.
Judged = Literal["pixels", "features"]


class AdversarialLoss(Section):
    """A second network that learns to tell generated views from true ones.

    :param looks_at: ``pixels`` of the whole view, beside what memory shows (:mod:`vmem_ros.training.tasks.adversary`),
        or ``features``, which a network that knows photographs finds in what memory does not show
        (:mod:`vmem_ros.training.tasks.feature_adversary`).
    :param width: channels of its first layer.
    :param weight: of the adversarial loss beside the errors; at 0.05 the trained network outran its adversary within a
        hundred steps.
    :param rate: learning rate of the adversary as a multiple of the network's. It must keep ahead of the network.
    """

    looks_at: Judged = "pixels"
    width: Count = 32
    weight: NonNegative = 0.005
    rate: NonNegative = 2.0
