"""A network and its adversary: each gets its own gradient, and both go on where they were."""

import pytest
import torch

from training_runs import GENERATOR, log, run, same, weights
from vmem_ros.training.tasks.adversary import Adversary


@pytest.mark.slow
def test_an_adversary_learns_and_the_network_learns_from_it(autoencoder, cache, tmp_path):
    fields = {
        "autoencoder": str(autoencoder),
        "adversary": {"width": 8, "weight": 1.0},
        "diffusion": {"prediction": "sample", "error": "pixels"},
        "optimisation": {"steps": 30, "lr": 0.005},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    out = run(GENERATOR, tmp_path, cache, **fields)
    entries = [entry for entry in log(tmp_path) if "adversary" in entry]
    # Who cannot tell them apart has log 2.
    assert min(entry["adversary"] for entry in entries) < 0.65
    assert not any("adversary" in name for name in weights(out))


@pytest.mark.slow
def test_going_on_with_an_adversary_gives_the_weights_of_an_uninterrupted_training(autoencoder, cache, tmp_path):
    fields = {
        "autoencoder": str(autoencoder),
        "adversary": {"width": 8, "weight": 1.0},
        "diffusion": {"prediction": "sample", "error": "pixels"},
    }
    whole = run(GENERATOR, tmp_path / "whole", cache, **fields, optimisation={"steps": 6, "lr": 0.005})
    parts = tmp_path / "parts"
    for steps in (3, 6):
        run(GENERATOR, parts, cache, **fields, optimisation={"steps": steps, "lr": 0.005})
    assert same(weights(parts / "model"), weights(whole))


def test_doubts_change_the_network_and_learning_changes_the_adversary():
    torch.manual_seed(0)
    adversary = Adversary(8)
    drawn, true, shown = (torch.randn(2, 3, 16, 16, requires_grad=True) for _ in range(3))
    share = torch.rand(2, 1, 4, 4)
    adversary.generator_loss(drawn, true.detach(), shown, share).backward()
    assert float(drawn.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in adversary.parameters())
    drawn.grad = None
    adversary.discriminator_loss(drawn, true, shown, share).backward()
    assert drawn.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())
