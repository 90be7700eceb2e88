"""A network and its adversary: each gets its own gradient, and both go on where they were."""

import pytest
import torch
import torch.nn.functional as F

from training_runs import GENERATOR, log, run, same, weights
from vmem_ros.training.tasks.adversary import PatchAdversary
from vmem_ros.training.tasks.feature_adversary import FeatureAdversary


@pytest.mark.slow
@pytest.mark.parametrize(("looks_at", "undecided"), [("pixels", 0.69), ("features", 2.0)])
def test_an_adversary_learns_and_the_network_learns_from_it(looks_at, undecided, autoencoder, cache, tmp_path):
    fields = {
        "autoencoder": str(autoencoder),
        "adversary": {"looks_at": looks_at, "width": 8, "weight": 1.0},
        "diffusion": {"prediction": "sample", "error": "pixels"},
        "optimisation": {"steps": 30, "lr": 0.005},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    out = run(GENERATOR, tmp_path, cache, **fields)
    entries = [entry for entry in log(tmp_path) if "adversary" in entry]
    assert min(entry["adversary"] for entry in entries) < 0.94 * undecided
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


@pytest.mark.parametrize("kind", [PatchAdversary, FeatureAdversary])
def test_doubts_change_the_network_and_learning_changes_the_adversary(kind):
    torch.manual_seed(0)
    adversary = kind(8)
    drawn, true, shown = (torch.randn(2, 3, 32, 32, requires_grad=True) for _ in range(3))
    share = torch.rand(2, 1, 4, 4)
    adversary.generator_loss(drawn, true.detach(), shown, share).backward()
    assert float(drawn.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in adversary.parameters())
    drawn.grad = None
    adversary.discriminator_loss(drawn, true, shown, share).backward()
    assert drawn.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())


def test_features_are_judged_where_memory_shows_nothing():
    """A picture that is wrong where memory shows something is completed by the true one."""
    torch.manual_seed(0)
    adversary = FeatureAdversary(8)
    true = torch.rand(1, 3, 64, 64) * 2 - 1
    share = F.pad(torch.ones(1, 1, 8, 4), (0, 4))
    wrong_left, wrong_right = true.clone(), true.clone()
    wrong_left[..., :28], wrong_right[..., 36:] = -1, -1
    adversary.eval()
    right = adversary.generator_loss(true, true, true, share)
    assert adversary.generator_loss(wrong_left, true, true, share) == right
    assert adversary.generator_loss(wrong_right, true, true, share) != right
    assert adversary.generator_loss(wrong_right, true, true, torch.ones_like(share)) == 0
