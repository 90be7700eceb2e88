"""The learning rate by step: a linear rise, then one of diffusers' schedules."""

from __future__ import annotations

import torch
from diffusers.optimization import get_scheduler

from vmem_ros.training.recipes.optimisation import Optimisation


class LearningRate:
    """The learning rate of each step, a function of the recipe and the number of the step alone.

    So a training that goes on needs no state of a scheduler, and ``steps`` may change in between.
    """

    def __init__(self, how: Optimisation) -> None:
        self._how = how
        # diffusers ties schedules to an optimiser; of these two only the factors by step are used.
        unused = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        (self._rise,) = get_scheduler("constant_with_warmup", unused, num_warmup_steps=how.warmup_steps).lr_lambdas
        # Its own warm-up would come before the fall, and make both depend on each other.
        (self._fall,) = get_scheduler(how.schedule, unused, num_warmup_steps=0, num_training_steps=how.steps).lr_lambdas

    def at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0; the first one of a warm-up is not lost on a rate of 0."""
        how = self._how
        return how.lr * self._rise(step + 1) * (how.final_lr + (1 - how.final_lr) * self._fall(step))
