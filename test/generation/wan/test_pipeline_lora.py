"""Adapters of a pipeline: off in a first round, on in later ones, as published."""

import pytest
import torch
from safetensors.torch import save_file

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanTransformer3DModel, SpatiaGenerator
from wan_pipelines import video_pipeline

FRAMES, SIZE = 5, (32, 64)


def pictures(count: int, seed: int) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8, generator=g))


def drawn(pipeline, **changes) -> torch.Tensor:
    given = {"num_frames": FRAMES, "history": pictures(1, 1), "generator": torch.Generator().manual_seed(2), **changes}
    return pipeline(height=SIZE[0], width=SIZE[1], **given).latents


def adapter(transformer: SceneWanTransformer3DModel) -> dict[str, torch.Tensor]:
    """Return an adapter in published naming for the attention of all blocks."""
    g = torch.Generator().manual_seed(4)
    width = transformer.blocks[0].attn1.to_q.in_features
    return {
        f"pipe.dit.blocks.{block}.self_attn.{layer}.lora_{side}.default.weight": torch.randn(*shape, generator=g)
        for block in range(len(transformer.blocks))
        for layer in "qkvo"
        for side, shape in (("A", (2, width)), ("B", (width, 2)))
    }


FIRST = {}
LATER = {"references": pictures(1, 5)}
GOES_ON = {"history": pictures(5, 6), "num_frames": 9}


@pytest.fixture(scope="module")
def expected():
    """What is drawn without an adapter."""
    pipeline = video_pipeline()
    return {name: drawn(pipeline, **given) for name, given in (("FIRST", FIRST), ("LATER", LATER), ("ON", GOES_ON))}


@pytest.fixture
def adapted():
    pipeline = video_pipeline()
    pipeline.load_lora_weights(adapter(pipeline.transformer))
    return pipeline


def test_it_acts_from_the_second_round_on(adapted, expected):
    assert torch.equal(drawn(adapted, **FIRST), expected["FIRST"])
    assert not torch.allclose(drawn(adapted, **LATER), expected["LATER"], atol=1e-3)
    assert not torch.allclose(drawn(adapted, **GOES_ON), expected["ON"], atol=1e-3)
    # And the first round of another walk is again without.
    assert torch.equal(drawn(adapted, **FIRST), expected["FIRST"])


def test_it_can_be_told_otherwise(adapted, expected):
    assert not torch.allclose(drawn(adapted, use_lora=True), expected["FIRST"], atol=1e-3)
    assert torch.equal(drawn(adapted, use_lora=False, **LATER), expected["LATER"])


def test_removed_without_a_trace(adapted, expected):
    adapted.unload_lora_weights()
    assert torch.equal(drawn(adapted, **LATER), expected["LATER"])
    adapted.unload_lora_weights()


def test_through_the_options_of_the_engine(tmp_path, adapted, expected):
    save_file(adapter(adapted.transformer), tmp_path / "lora.safetensors")
    video_pipeline().save_pretrained(tmp_path / "model")
    at = {"lora": tmp_path / "lora.safetensors"}
    generator = SpatiaGenerator.from_pretrained(tmp_path / "model", **at)
    torch.testing.assert_close(drawn(generator.pipeline, **LATER), drawn(adapted, **LATER), rtol=0, atol=1e-4)
    nothing = SpatiaGenerator.from_pretrained(tmp_path / "model", **at, lora_scale=0.0)
    torch.testing.assert_close(drawn(nothing.pipeline, **LATER), expected["LATER"], rtol=0, atol=1e-4)


def test_an_adapter_of_another_model(adapted):
    other = {name.replace("blocks.0.", "blocks.7."): value for name, value in adapter(adapted.transformer).items()}
    with pytest.raises(ModelError, match="does not have"):
        adapted.load_lora_weights(other, adapter_name="other")
