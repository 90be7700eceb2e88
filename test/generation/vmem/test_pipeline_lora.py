"""LoRA adapters: made with peft, loaded into a pipeline, saved, removed; and files that are none."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from chunks import chunk, tiny_pipeline
from tiny_models import tiny_unet
from vmem_ros import files
from vmem_ros.errors import ModelError

TARGETS = ["to_q", "to_v", "proj_in"]


@pytest.fixture
def pipeline():
    return tiny_pipeline()


def trained(**config):
    """Return a network with an adapter of peft that is no longer zero."""
    torch.manual_seed(3)
    made = get_peft_model(tiny_unet(), LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": TARGETS, **config}))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"middle_block.1.proj_in": 1}},
        {"target_modules": ["in_layers.2", "time_embed.0"]},
    ],
    ids=["plain", "rslora", "patterns", "convolutions"],
)
def test_an_adapter_of_peft(pipeline, tmp_path, config):
    before = pipeline(**chunk()).images
    adapted = trained(**config)
    adapted.save_pretrained(tmp_path)
    pipeline.load_lora_weights(tmp_path)
    found = pipeline(**chunk()).images
    assert not torch.allclose(found, before)
    expected = tiny_pipeline(unet=adapted.merge_and_unload())(**chunk()).images
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    pipeline.unload_lora_weights()
    assert torch.equal(pipeline(**chunk()).images, before)
    assert not any("lora" in name for name in pipeline.unet.state_dict())


def test_saved_by_the_pipeline(pipeline, tmp_path):
    trained().save_pretrained(tmp_path / "peft")
    pipeline.load_lora_weights(tmp_path / "peft")
    path = pipeline.save_lora_weights(tmp_path / "new" / "folder")
    expected = pipeline(**chunk()).images
    for source in (path, path.parent):
        pipeline.unload_lora_weights()
        pipeline.load_lora_weights(source)
        assert torch.equal(pipeline(**chunk()).images, expected)


def test_saved_by_the_network(pipeline, tmp_path):
    """What training leaves: an adapter that the network itself was given."""
    pipeline.unet.add_adapter(LoraConfig(r=4, lora_alpha=2, target_modules=TARGETS, init_lora_weights=False))
    expected = pipeline(**chunk()).images
    pipeline.unet.save_lora_adapter(tmp_path)
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(tmp_path)
    torch.testing.assert_close(pipeline(**chunk()).images, expected)


def test_without_a_configuration_alpha_is_the_rank(pipeline, tmp_path):
    trained(lora_alpha=4, rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 2}).save_pretrained(tmp_path)
    pipeline.load_lora_weights(tmp_path)
    expected = pipeline(**chunk()).images
    stored = load_file(tmp_path / "adapter_model.safetensors")
    save_file(
        {"unet." + name.removeprefix("base_model.model."): w for name, w in stored.items()}, tmp_path / "b.safetensors"
    )
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(tmp_path / "b.safetensors")
    torch.testing.assert_close(pipeline(**chunk()).images, expected)


def test_the_adapter_takes_the_type_of_the_network(tmp_path):
    trained().save_pretrained(tmp_path)
    pipeline = tiny_pipeline(unet=tiny_unet().to(torch.bfloat16))
    pipeline.load_lora_weights(tmp_path)
    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {torch.bfloat16}
    assert pipeline(**chunk()).images.isfinite().all()


def truncated(folder):
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_configuration(folder):
    (folder / "adapter_config.json").unlink()


def unreadable_configuration(folder):
    (folder / "adapter_config.json").write_text("{")


def absurd_alpha(folder):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": "8; import os"}))


def pickled(folder):
    file = folder / "adapter_model.safetensors"
    torch.save(load_file(file), folder / "adapter_model.bin")
    file.unlink()


def with_more_than_pairs(folder):
    file = folder / "adapter_model.safetensors"
    save_file({**load_file(file), "base_model.model.out.0.weight": torch.ones(32)}, file)


def with_half_a_pair(folder):
    file = folder / "adapter_model.safetensors"
    save_file({name: w for name, w in load_file(file).items() if "proj_in.lora_B" not in name}, file)


def empty(folder):
    save_file({}, folder / "adapter_model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncated, "cannot be read"),
        (without_configuration, "cannot be read: .*adapter_config.json"),
        (unreadable_configuration, "cannot be read"),
        (absurd_alpha, "does not say how its weights are scaled"),
        (pickled, "no LoRA adapter at .*: give a folder with adapter_model.safetensors"),
        (with_more_than_pairs, r"no plain LoRA adapter \(it holds out.0.weight\)"),
        (with_half_a_pair, r"proj_in, but not both lora_A and lora_B"),
        (empty, "it is empty"),
    ],
)
def test_spoilt_adapter(pipeline, tmp_path, spoil, message):
    trained().save_pretrained(tmp_path)
    spoil(tmp_path)
    names = list(pipeline.unet.state_dict())
    with pytest.raises(ModelError, match=message):
        pipeline.load_lora_weights(tmp_path)
    assert list(pipeline.unet.state_dict()) == names


def test_an_adapter_of_another_network(pipeline, tmp_path):
    other = get_peft_model(tiny_unet(context_dim=24), LoraConfig(r=2, target_modules=["to_k"]))
    other.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="use the network that the adapter was trained for"):
        pipeline.load_lora_weights(tmp_path)
    deeper = get_peft_model(tiny_unet(transformer_depth=(2, 1)), LoraConfig(r=2, target_modules=["to_k"]))
    deeper.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="which the network does not have"):
        pipeline.load_lora_weights(tmp_path)


def test_names_of_adapters(pipeline, tmp_path):
    trained().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no adapter 'default', only \[\]"):
        pipeline.save_lora_weights(tmp_path)
    pipeline.load_lora_weights(tmp_path)
    with pytest.raises(ModelError, match="'default' is loaded already"):
        pipeline.load_lora_weights(tmp_path)
    pipeline.load_lora_weights(tmp_path, adapter_name="second")
    with pytest.raises(ModelError, match=r"no adapter 'third', only \['default', 'second'\]"):
        pipeline.save_lora_weights(tmp_path, adapter_name="third")
    with pytest.raises(ModelError, match="cannot write"):
        pipeline.save_lora_weights(tmp_path / "adapter_config.json")


def test_an_adapter_that_cannot_be_written_leaves_the_old_one(pipeline, tmp_path, monkeypatch):
    trained().save_pretrained(tmp_path / "trained")
    pipeline.load_lora_weights(tmp_path / "trained")
    path = pipeline.save_lora_weights(tmp_path / "saved")
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        pipeline.save_lora_weights(tmp_path / "saved")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
