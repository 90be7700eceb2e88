"""Adapters trained for a few steps: a pipeline loads them, and is as before without them."""

import pytest
import torch

from training_runs import LORA, generate, run, same, weights
from vmem_ros.errors import RecipeError
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline


def test_an_adapter_is_trained_loaded_and_removed(generator_out, cache, tmp_path):
    adapter = run(LORA, tmp_path / "out", cache, pipeline=str(generator_out / "model"))
    pipeline = read_pipeline(generator_out / "model")
    before = generate(pipeline)
    pipeline.load_lora_weights(adapter)
    after = generate(pipeline)
    pipeline.unload_lora_weights()
    assert not torch.equal(before, after)
    assert torch.equal(before, generate(pipeline))
    assert all(".lora_" in name for name in weights(adapter))


@pytest.mark.slow
def test_an_adapter_goes_on_where_it_was(generator_out, cache, tmp_path):
    straight, halted = tmp_path / "straight", tmp_path / "halted"
    options = {"pipeline": str(generator_out / "model"), "checkpointing": True}
    run(LORA, straight, cache, **options)
    run(LORA, halted, cache, **options, optimisation={"steps": 1})
    run(LORA, halted, cache, **options)
    assert same(weights(straight / "model"), weights(halted / "model"))


def test_an_adapter_for_no_layer(generator_out, cache, tmp_path):
    with pytest.raises(RecipeError, match=r"adapter\.modules = \['to_nothing'\] cannot be adapted"):
        run(LORA, tmp_path, cache, pipeline=str(generator_out / "model"), adapter={"modules": ["to_nothing"]})
