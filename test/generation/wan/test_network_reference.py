"""The network with a scene branch against arrays of the published implementation."""

import numpy as np
import pytest
import torch
from diffusers import WanVACETransformer3DModel

from wan_networks import published_config, published_network, published_states

TOLERANCE = 1e-5
REFERENCES, PER_FRAME = 2, 6


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return {name: torch.from_numpy(a) for name, a in np.load(reference_dir / "others" / "spatia_network.npz").items()}


@pytest.fixture(scope="module")
def network(reference_dir):
    return published_network(reference_dir)


def arguments(arrays, case: str) -> dict:
    """Return what the network is called with."""
    frames = 5 if case in ("first_round", "uniform_timestep") else 7
    times = {
        "first_round": torch.tensor([0.0, 700, 700, 700, 700]),  # the published code sets that of frame 0 itself
        "uniform_timestep": torch.full((5,), 700.0),
        "mirage": arrays["mirage__timestep"],
    }
    return {
        "hidden_states": arrays["latents"][:, :, :frames],
        "timestep": times.get(case, arrays["later_round__timestep"])[None],
        "encoder_hidden_states": arrays["context"],
        "control_hidden_states": None if case == "no_control" else arrays["control"],
        "num_references": 0 if frames == 5 else REFERENCES,
        "control_scale": 0.5 if case == "later_round_scale_half" else 1.0,
    }


def assert_close(found, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=tolerance)


CASES = ["first_round", "later_round", "later_round_scale_half", "no_control", "uniform_timestep", "mirage"]


@pytest.mark.parametrize("case", CASES)
def test_output(arrays, network, case):
    with torch.no_grad():
        (found,) = network(**arguments(arrays, case))
    assert_close(found, arrays[f"{case}__output"])


def test_two_samples_at_once_and_as_an_object(arrays, network):
    both = {
        name: torch.cat([value, arguments(arrays, "mirage")[name]]) if isinstance(value, torch.Tensor) else value
        for name, value in arguments(arrays, "later_round").items()
    }
    with torch.no_grad():
        found = network(**both, return_dict=True).sample
    assert_close(found, torch.cat([arrays["later_round__output"], arrays["mirage__output"]]))


@pytest.mark.parametrize("case", ["later_round", "mirage"])
def test_rotary_angles(arrays, network, case):
    expected = arrays[f"{case}__rope_angle"][:, 0]
    found = network.rope.angles(5, 2, 3, REFERENCES)
    # Published angles come from complex numbers, so they are known up to full turns.
    turns = (found - expected) / (2 * torch.pi)
    assert (turns - turns.round()).abs().max() < 1e-9


def test_every_stage_of_a_later_round(arrays, network):
    seen = {}

    def keep(name):
        return lambda module, given, output: seen.update({name: output})

    stages = {
        **{f"block{i}_out": block for i, block in enumerate(network.blocks)},
        **{f"control{i}": block for i, block in enumerate(network.vace_blocks)},
        "embedded": network.condition_embedder,
        "patches": network.patch_embedding,
    }
    hooks = [stage.register_forward_hook(keep(name)) for name, stage in stages.items()]
    hooks.append(network.norm_out.register_forward_pre_hook(lambda module, given: seen.update(head_in=given[0])))
    with torch.no_grad():
        network(**arguments(arrays, "later_round"))
    for hook in hooks:
        hook.remove()

    def of(name):
        return arrays[f"later_round__{name}"]

    assert_close(seen["patches"].flatten(2).mT, of("tokens"))
    time, modulation, text, _ = seen["embedded"]
    assert_close(text, of("text"))
    assert_close(time.repeat_interleave(PER_FRAME, dim=1), of("t_emb"))
    assert_close(modulation.unflatten(2, (6, -1)).repeat_interleave(PER_FRAME, dim=1), of("t_mod"))
    for i in range(4):
        assert_close(seen[f"block{i}_out"], of(f"block{i}_out"))
    assert_close(seen["head_in"], of("head_in"))
    (first, control), (second, last) = seen["control0"], seen["control1"]
    assert_close(torch.stack([first, control]), of("control_block0_out"))
    assert_close(torch.stack([first, second, last]), of("control_block1_out"))


def test_time_of_the_first_round(arrays, network):
    times = arguments(arrays, "first_round")["timestep"]
    with torch.no_grad():
        _, modulation, _, _ = network.condition_embedder(times.flatten(), arrays["context"], timestep_seq_len=5)
    found = modulation.unflatten(2, (6, -1)).repeat_interleave(PER_FRAME, dim=1)
    assert_close(found, arrays["first_round__t_mod"])


def test_stock_network_does_the_same_with_one_time_and_no_references(arrays, network, reference_dir):
    """The parameters have the names of diffusers, so its own class can be filled with them."""
    stock = WanVACETransformer3DModel(**published_config(reference_dir)).eval()
    stock.load_state_dict(network.state_dict(), strict=True)
    given = arguments(arrays, "uniform_timestep")
    with torch.no_grad():
        found = stock(
            given["hidden_states"],
            torch.tensor([700.0]),
            given["encoder_hidden_states"],
            control_hidden_states=given["control_hidden_states"],
        ).sample
    # Of values to 12: processors round another's order of operations differently.
    assert_close(found, arrays["uniform_timestep__output"], 2e-5)


def test_published_names_are_all_used(reference_dir, network):
    main, control = published_states(reference_dir)
    values = sorted(float(v.double().sum()) for v in (*main.values(), *control.values()))
    assert sorted(float(v.double().sum()) for v in network.state_dict().values()) == values
