"""Learning rates: a rise and a fall by step, as they were before diffusers computed them."""

import math

import pytest

from vmem_ros.training.learning_rate import LearningRate
from vmem_ros.training.recipes.optimisation import Optimisation


def rates(**fields):
    how = Optimisation(**{"steps": 50, "batch": 1, "lr": 0.003, "warmup_steps": 7} | fields)
    rate = LearningRate(how)
    return how, [rate.at(step) for step in range(how.steps + 1)]


@pytest.mark.parametrize("warmup_steps", [0, 1, 7, 80])
@pytest.mark.parametrize("final_lr", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_old_recipes_mean_what_they_meant_bit_by_bit(schedule, final_lr, warmup_steps):
    how, found = rates(schedule=schedule, final_lr=final_lr, warmup_steps=warmup_steps)
    for step, rate in enumerate(found):
        rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
        fall = final_lr + (1 - final_lr) * (1 + math.cos(math.pi * (step / how.steps))) / 2
        assert rate == how.lr * rise * (fall if schedule == "cosine" else 1.0)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_it_rises_from_the_first_step_and_falls_to_its_share(schedule):
    how, found = rates(schedule=schedule, final_lr=0.1)
    assert found[0] == pytest.approx(how.lr / 7)
    assert found[:6] == sorted(found[:6])
    assert found[7:] == sorted(found[7:], reverse=True)
    assert found[-1] == pytest.approx(0.1 * how.lr)


def test_a_line_is_half_way_down_in_the_middle():
    how, found = rates(schedule="linear", final_lr=0.2)
    assert found[25] == pytest.approx(0.6 * how.lr)
