"""Sections that every recipe has: how weights are changed, and what is written meanwhile."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from vmem_ros.training.recipes.section import Count, FloatPair, Index, NonNegative, Positive, Section, Share, rising

Precision = Literal["no", "bf16", "fp16"]
#: Learning rate after the warm-up, by the names of :func:`diffusers.optimization.get_scheduler`.
Schedule = Literal["constant", "linear", "cosine"]


class Optimisation(Section):
    """How weights are changed.

    :param steps: optimiser steps in all.
    :param batch: samples per step and device.
    :param lr: learning rate of AdamW, reached after ``warmup_steps`` of linear rise.
    :param schedule: how the learning rate falls over the steps: not at all, in a line, or along half a cosine.
    :param final_lr: share of ``lr`` that it falls to.
    :param max_grad_norm: gradients are scaled down to this norm.
    :param ema_decay: decay of the moving average of the weights, which is what is saved; it rises towards this value
        over the first steps. 0: no average, the weights themselves are saved.
    :param precision: of the forward pass; weights stay float32.
    :param compile: compile the network: minutes at the start, then about a quarter less time per step on a processor.
    """

    steps: Count
    batch: Count
    lr: NonNegative
    weight_decay: NonNegative = 0.01
    betas: Annotated[FloatPair, AfterValidator(rising(0, 1))] = (0.9, 0.99)
    warmup_steps: Index = 200
    schedule: Schedule = "constant"
    final_lr: Share = 0.0
    max_grad_norm: Positive = 1.0
    ema_decay: Share = 0.999
    precision: Precision = "no"
    compile: bool = False


class Reporting(Section):
    """What is written while training.

    :param log_every: steps between lines of ``log.jsonl``.
    :param checkpoint_every: steps between checkpoints, of which the newest ``keep_checkpoints`` are kept.
    :param sample_every: steps between sample sheets.
    :param sample_sets: evaluation houses on a sheet.
    """

    log_every: Count = 20
    checkpoint_every: Count = 500
    keep_checkpoints: Count = 2
    sample_every: Count = 1000
    sample_sets: Count = 4
