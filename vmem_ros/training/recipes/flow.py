"""The section ``flow`` of recipes for networks that draw along a flow from noise to image."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from vmem_ros.training.recipes.denoising import ErrorSpace, with_spread
from vmem_ros.training.recipes.section import FloatPair, Positive, Section, Share


class Flow(Section):
    """Which times a network is trained at, and what errors are measured on.

    :param shift: of times in training and sampling: t becomes shift t / (1 + (shift - 1) t).
    :param logit_normal: mean and standard deviation of the logit of times before that.
    :param pure_noise: share of the images at time 1, where sampling begins: all that a model which draws in one step
        ever sees.
    :param error: ``latents``: squared errors of the velocity. ``pixels``: absolute ones of decoded pictures, and of the
        code of depth (:class:`~vmem_ros.training.recipes.denoising.Loss`).
    """

    shift: Positive = 1.0
    logit_normal: Annotated[FloatPair, AfterValidator(with_spread)] = (0.0, 1.0)
    pure_noise: Share = 0.0
    error: ErrorSpace = "latents"
