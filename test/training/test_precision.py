"""Networks learn in bfloat16, too, on the same samples."""

from __future__ import annotations

import math

import pytest
from accelerate.state import AcceleratorState

from training_runs import DEPTH, GAC, GENERATOR, MIRAGE, SPATIA, log, run


@pytest.fixture(autouse=True)
def any_precision():
    """Accelerate keeps the precision of a process; this one has several."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [GENERATOR, GAC, SPATIA, MIRAGE], ids=["vmem", "gac", "spatia", "mirage"])
def test_networks_of_generators_learn_in_bfloat16(recipe, autoencoder, cache, tmp_path):
    losses = {}
    for precision in ("no", "bf16"):
        AcceleratorState._reset_state(reset_partial_state=True)
        optimisation = {"steps": 2, "precision": precision}
        run(recipe, tmp_path / precision, cache, autoencoder=str(autoencoder), optimisation=optimisation)
        losses[precision] = [line["loss"] for line in log(tmp_path / precision) if "loss" in line]
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.05)


def test_a_depth_network_learns_in_bfloat16(cache, tmp_path):
    run(DEPTH, tmp_path, cache, optimisation={"precision": "bf16"})
    assert all(math.isfinite(line["loss"]) for line in log(tmp_path) if "loss" in line)
