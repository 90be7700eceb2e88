"""LoRA adapters in published naming: what they add, what is refused, and that nothing is skipped in silence."""

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanTransformer3DModel
from vmem_ros.generation.wan.lora import adapter_for, load_adapter, switch_adapters
from wan_networks import published_network

TOLERANCE = 1e-5
OF_BRANCH = "pipe.vace."


@pytest.fixture(scope="module")
def folder(reference_dir):
    return reference_dir / "others"


@pytest.fixture
def network(reference_dir):
    return published_network(reference_dir)


@pytest.fixture(scope="module")
def adapter(folder):
    return load_file(folder / "tiny_lora.safetensors")


@pytest.fixture(scope="module")
def arrays(folder):
    found = {**np.load(folder / "spatia_network.npz"), **np.load(folder / "spatia_lora.npz")}
    return {name: torch.from_numpy(array) for name, array in found.items()}


def later_round(network, arrays):
    with torch.no_grad():
        return network(
            arrays["latents"],
            arrays["later_round__timestep"][None],
            arrays["context"],
            control_hidden_states=arrays["control"],
            num_references=2,
        )[0]


def assert_adapted(network, arrays):
    found, expected = later_round(network, arrays), arrays["later_round__output_with_lora"]
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=TOLERANCE)
    assert (expected - arrays["later_round__output"]).abs().max() > 0.1


def test_output_with_the_published_adapter(network, arrays, folder, caplog):
    with caplog.at_level(logging.WARNING):
        load_adapter(network, folder / "tiny_lora.safetensors")
    assert_adapted(network, arrays)
    assert "2 tensors of the scene branch (pipe.vace.vace_blocks.0.self_attn.q.lora_A" in caplog.text


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace(".default.", "."),
        lambda name: name.replace(".default.", ".spatia."),
        lambda name: name.replace("pipe.dit.", "diffusion_model."),
        lambda name: name.replace("pipe.dit.", ""),
    ],
    ids=["without .default", "another name", "another prefix", "no prefix"],
)
def test_other_ways_to_name_the_same(network, arrays, adapter, rename):
    load_adapter(network, {rename(name): value for name, value in adapter.items()})
    assert_adapted(network, arrays)


def test_names_of_diffusers(network, arrays, adapter):
    load_adapter(network, {"transformer." + n: value for n, value in adapter_for(network, adapter).items()})
    assert_adapted(network, arrays)


def test_switched_off_and_on_and_removed(network, arrays, adapter):
    expected = later_round(network, arrays)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    load_adapter(network, adapter)
    switch_adapters(network, on=False)
    assert torch.equal(later_round(network, arrays), expected)
    switch_adapters(network, on=True)
    assert_adapted(network, arrays)
    network.unload_lora()
    assert torch.equal(later_round(network, arrays), expected)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_switching_a_network_without_adapters(network, arrays):
    expected = later_round(network, arrays)
    for on in (False, True):
        switch_adapters(network, on)
        assert torch.equal(later_round(network, arrays), expected)


def test_scale(network, arrays, adapter):
    load_adapter(network, adapter, scale=0.0)
    found = later_round(network, arrays)
    np.testing.assert_allclose(found.numpy(), arrays["later_round__output"].numpy(), rtol=0, atol=TOLERANCE)


def only(adapter, start):
    return {name: value for name, value in adapter.items() if name.startswith(start)}


MISTAKES = {
    "of the branch alone": (lambda a: only(a, OF_BRANCH), "nothing in the adapter is for this network"),
    "empty": (lambda a: {}, "nothing in the adapter is for this network: it has 0 tensors"),
    "of another network": (lambda a: {"unet." + n: v for n, v in a.items()}, "does not have"),
    "one factor": (lambda a: {n: v for n, v in a.items() if "lora_A" in n}, "one of two factors"),
    "no factors": (lambda a: {**a, "pipe.dit.blocks.0.modulation": torch.zeros(1)}, "no factor of a LoRA"),
    "transposed": (lambda a: {n: v.mT.contiguous() for n, v in a.items()}, "whose weight is"),
    "not finite": (lambda a: {n: v * torch.nan for n, v in a.items()}, "not finite"),
    "more blocks": (
        lambda a: {**a, **{n.replace("blocks.0.", "blocks.9."): v for n, v in only(a, "pipe.dit.blocks.0.").items()}},
        r"modules of [0-9]+ that this network does not have",
    ),
    "twice": (lambda a: {**a, **{n.replace("pipe.dit.", ""): v.clone() for n, v in a.items()}}, "under two names"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_adapters_that_do_not_fit(network, arrays, adapter, mistake):
    change, message = MISTAKES[mistake]
    expected = later_round(network, arrays)
    with pytest.raises(ModelError, match=message):
        load_adapter(network, change(adapter))
    assert torch.equal(later_round(network, arrays), expected)


def test_a_name_that_is_taken(network, adapter):
    load_adapter(network, adapter)
    with pytest.raises(ModelError, match="is loaded already"):
        load_adapter(network, adapter)


@pytest.mark.parametrize("content", [None, b"PK\x03\x04", b""])
def test_files_that_are_none(network, tmp_path, content):
    path = tmp_path / "lora.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="there is no LoRA adapter" if content is None else "cannot be read"):
        load_adapter(network, path)


def test_a_pickle_is_not_read(network, adapter, tmp_path):
    torch.save(adapter, tmp_path / "lora.bin")
    with pytest.raises(ModelError, match="there is no LoRA adapter"):
        load_adapter(network, tmp_path / "lora.bin")


def test_half_precision(reference_dir, arrays, adapter, tmp_path):
    save_file({name: value.bfloat16() for name, value in adapter.items()}, tmp_path / "half.safetensors")
    network = published_network(reference_dir).bfloat16()
    load_adapter(network, tmp_path / "half.safetensors")
    with torch.no_grad():
        (found,) = network(
            arrays["latents"].bfloat16(),
            arrays["later_round__timestep"][None],
            arrays["context"].bfloat16(),
            control_hidden_states=arrays["control"].bfloat16(),
            num_references=2,
        )
    expected = arrays["later_round__output_with_lora"]
    assert (found.float() - expected).abs().mean() < 0.02 * expected.abs().mean()


@pytest.mark.parametrize("which", ["attention_only", "attention_and_ffn"])
def test_full_size(folder, which):
    """What the published file may have: its list of modules is not known, but each of the two fits."""
    candidates = json.loads((folder / "spatia_lora_candidates.json").read_text())["candidates"]
    found = candidates[which]
    with torch.device("meta"):
        network = SceneWanTransformer3DModel()
        published = {name: torch.empty(shape) for name, shape in found["shapes"].items()}
    assert len(adapter_for(network, published)) == found["tensors"]
