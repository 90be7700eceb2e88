"""Published names and shapes, at full size and as errors."""

import json

import pytest
import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanTransformer3DModel
from vmem_ros.generation.wan.published import to_diffusers
from wan_networks import published_config, published_network, published_states, tiny_transformer

#: Layers that the scene is added after, and the number of tensors and parameters with those of the video model.
FULL = {
    "spatia": (tuple(range(0, 30, 4)), 1061, 4_999_787_712 + 1_395_398_656),
    "mirage": (tuple(range(0, 30, 2)), 1264, 4_999_787_712 + 2_607_077_376),
}


@pytest.fixture(scope="module")
def folder(reference_dir):
    return reference_dir / "others"


def shapes(path) -> dict[str, list[int]]:
    found = json.loads(path.read_text())
    return found.get("shapes", found)


def test_rules_give_the_names_of_diffusers(folder):
    expected = json.loads((folder / "spatia_to_diffusers_names.json").read_text())
    table = {**expected["base"], **expected["control"]}
    assert len(table) == FULL["spatia"][1]
    assert {name: to_diffusers(name) for name in table} == table


def test_names_of_diffusers_stay(folder):
    expected = json.loads((folder / "spatia_to_diffusers_names.json").read_text())
    assert all(to_diffusers(name) == name for name in {**expected["base"], **expected["control"]}.values())


@pytest.mark.parametrize("which", FULL)
def test_full_size_is_filled_strictly(folder, which):
    layers, tensors, parameters = FULL[which]
    with torch.device("meta"):
        network = SceneWanTransformer3DModel(vace_layers=layers)
        main, control = (
            {name: torch.empty(shape, dtype=torch.bfloat16) for name, shape in shapes(folder / file).items()}
            for file in ("wan22_ti2v_5b_shapes.json", f"{which}_control_shapes.json")
        )
    assert len(main) + len(control) == tensors
    network.load_published(main, control)
    state = network.state_dict()
    assert len(state) == tensors
    assert sum(value.numel() for value in state.values()) == parameters
    assert {value.dtype for value in state.values()} == {torch.bfloat16}
    given = {to_diffusers(name): value for name, value in {**main, **control}.items()}
    assert all(state[name].shape == value.shape for name, value in given.items())


def test_default_is_the_size_of_spatia():
    with torch.device("meta"):
        network = SceneWanTransformer3DModel()
    assert tuple(network.config.vace_layers) == FULL["spatia"][0]


def test_a_network_on_the_meta_device_becomes_the_tensors_themselves(reference_dir):
    main, control = published_states(reference_dir)
    with torch.device("meta"):
        network = SceneWanTransformer3DModel(**published_config(reference_dir))
    assert network.load_published(main, control) is network
    assert network.patch_embedding.weight.data_ptr() == main["patch_embedding.weight"].data_ptr()
    assert network.blocks[0].scale_shift_table.requires_grad
    expected = published_network(reference_dir).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def changed(states, which: int, change) -> tuple[dict, dict]:
    out = tuple(dict(state) for state in states)
    change(out[which])
    return out


MISTAKES = {
    "a missing key": (0, lambda s: s.pop("blocks.1.ffn.2.bias"), r"main_state lacks blocks\.1\.ffn\.net\.2\.bias"),
    "an extra key": (0, lambda s: s.update({"blocks.9.modulation": s["blocks.0.modulation"]}), r"has blocks\.9\.modul"),
    "a missing key of the branch": (1, lambda s: s.pop("vace_blocks.0.before_proj.bias"), "control_state lacks"),
    "an extra key of the branch": (1, lambda s: s.update({"score.bias": torch.zeros(3)}), "control_state has score"),
    "a key of the other file": (1, lambda s: s.update({"head.modulation": torch.zeros(1, 2, 96)}), "control_state has"),
    "another shape": (0, lambda s: s.update({"head.head.bias": torch.zeros(7)}), r"head\.head\.bias with shape \[7\]"),
    "one name twice": (0, lambda s: s.update({"proj_out.bias": s["head.head.bias"]}), "under another name"),
    "no data": (0, lambda s: s.update({"head.head.bias": torch.zeros(192, device="meta")}), "no data"),
    "an empty file": (1, lambda s: s.clear(), "control_state lacks .* and [0-9]+ more"),
    "a prefix": (
        0,
        lambda s: s.update({"model." + name: s.pop(name) for name in list(s)}),
        r"main_state has model\.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_states_that_do_not_fit(reference_dir, mistake):
    which, change, message = MISTAKES[mistake]
    network = SceneWanTransformer3DModel(**published_config(reference_dir))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        network.load_published(*changed(published_states(reference_dir), which, change))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_files_of_another_size(reference_dir):
    with pytest.raises(ModelError, match="main_state has blocks"):
        tiny_transformer().load_published(*published_states(reference_dir))
