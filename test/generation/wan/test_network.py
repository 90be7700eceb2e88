"""The network with a scene branch: what it may be built and called with, and what depends on what."""

import pytest
import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanTransformer3DModel
from wan_networks import tiny_inputs, tiny_transformer


def run(network, **changes):
    with torch.no_grad():
        return network(**{**tiny_inputs(network), **changes})[0]


@pytest.fixture(scope="module")
def network():
    return tiny_transformer()


@pytest.mark.parametrize(
    "config",
    [
        {"vace_layers": (1, 2)},
        {"vace_layers": (0, 3)},
        {"vace_layers": (0, 2, 2)},
        {"vace_layers": ()},
        {"patch_size": (2, 2, 2)},
        {"attention_head_dim": 13},
        {"freq_dim": 31},
        {"image_dim": 32},
    ],
)
def test_configurations_that_cannot_be_built(config):
    with pytest.raises(ModelError, match=next(iter(config))):
        tiny_transformer(**config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_states": torch.zeros(1, 7, 5, 4, 6)}, "hidden_states must be .*8 channels"),
        ({"hidden_states": torch.zeros(8, 5, 4, 6)}, "hidden_states must be"),
        ({"hidden_states": torch.zeros(1, 8, 5, 5, 6)}, "multiples of 2 x 2"),
        ({"timestep": torch.tensor([700])}, r"timestep must be \[1, 5\]"),
        ({"timestep": torch.zeros(1, 30)}, r"timestep must be \[1, 5\]"),
        ({"encoder_hidden_states": torch.zeros(1, 3, 15)}, "encoder_hidden_states must be"),
        ({"encoder_hidden_states": torch.zeros(2, 3, 16)}, "encoder_hidden_states must be"),
        ({"control_hidden_states": torch.zeros(1, 8, 4, 4, 6)}, "control_hidden_states must be .*16 channels"),
        ({"control_hidden_states": torch.zeros(1, 16, 5, 4, 6)}, "5 frames for 4"),
        ({"control_hidden_states": torch.zeros(1, 16, 4, 4, 4)}, "the size of hidden_states"),
        ({"control_frames": slice(0, 4)}, "without the 1 references"),
        ({"control_frames": slice(1, 5, 2)}, "without gaps"),
        ({"control_frames": slice(3, 3)}, "control_frames must be"),
        ({"control_frames": slice(2, 5)}, "4 frames for 3"),
        ({"num_references": 5}, "num_references must be from 0 to 4"),
        ({"num_references": -1}, "num_references must be from 0 to 4"),
        ({"control_scale": float("nan")}, "control_scale must be a finite number"),
        ({"encoder_hidden_states": torch.zeros(1, 3, 16, device="meta")}, "move them to one device"),
    ],
)
def test_arguments_that_do_not_fit(network, changes, message):
    with pytest.raises(ModelError, match=message):
        run(network, **changes)


def test_control_of_some_frames_reaches_them_first(network):
    """Only hints of the frames named are added; the others see them through attention alone."""
    given = tiny_inputs(network)
    part = given["control_hidden_states"][:, :, :2]
    hints = []
    hook = network.vace_blocks[0].register_forward_hook(lambda m, a, output: hints.append(output[0].shape[1]))
    found = run(network, control_hidden_states=part, control_frames=slice(1, 3))
    hook.remove()
    assert hints == [2 * 6]
    assert found.shape == given["hidden_states"].shape
    assert not torch.allclose(found, run(network), atol=1e-4)
    whole = run(network, control_frames=slice(1, 5))
    assert torch.equal(whole, run(network))
    assert torch.equal(run(network, control_frames=slice(-4, None)), whole)


def test_everything_it_is_told_changes_the_flow(network):
    expected = run(network)
    given = tiny_inputs(network)
    for name in ("hidden_states", "encoder_hidden_states", "control_hidden_states"):
        changed = given[name].clone()
        changed.view(-1)[0] += 1
        assert not torch.allclose(run(network, **{name: changed}), expected, atol=1e-5), name
    times = given["timestep"].clone()
    times[0, 1] = 700
    assert not torch.allclose(run(network, timestep=times), expected, atol=1e-4)
    assert not torch.allclose(run(network, control_scale=0.5), expected, atol=1e-4)
    assert not torch.allclose(run(network, control_hidden_states=None), expected, atol=1e-4)
    nothing = run(network, control_scale=0.0)
    assert torch.allclose(nothing, run(network, control_hidden_states=None), atol=1e-5)


def test_without_text(network):
    zero = torch.zeros(1, 1, network.config.text_dim)
    assert torch.equal(run(network, encoder_hidden_states=None), run(network, encoder_hidden_states=zero))


def test_round_trip(tmp_path, network):
    network.save_pretrained(tmp_path)
    again = SceneWanTransformer3DModel.from_pretrained(tmp_path)
    assert tuple(again.config.vace_layers) == (0, 2)
    assert torch.equal(run(again), run(network))


def test_bfloat16_keeps_what_needs_float32(tmp_path, network):
    network.save_pretrained(tmp_path)
    half = SceneWanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert half.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert half.blocks[0].scale_shift_table.dtype == torch.float32
    given = {
        name: value.bfloat16() if isinstance(value, torch.Tensor) and name != "timestep" else value
        for name, value in tiny_inputs(half).items()
    }
    with torch.no_grad():
        (found,) = half(**given)
    assert found.dtype == torch.bfloat16
    assert (found.float() - run(network)).abs().max() < 0.05 * run(network).abs().max()


def test_training_with_less_memory_gives_the_same_gradients():
    network = tiny_transformer().requires_grad_(True).train()
    gradients = []
    for checkpointing in (False, True):
        network.zero_grad()
        if checkpointing:
            network.enable_gradient_checkpointing()
        network(**tiny_inputs(network))[0].square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == dict(network.named_parameters()).keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7)


def test_small_size_without_text():
    """As small networks of the houses are: latents of another autoencoder, no text."""
    network = tiny_transformer(
        num_attention_heads=4, attention_head_dim=48, in_channels=32, out_channels=32, ffn_dim=384, num_layers=4,
        vace_layers=(0, 1, 2, 3), vace_in_channels=64, text_dim=1,
    )  # fmt: skip
    assert run(network, encoder_hidden_states=None).shape == (1, 32, 5, 4, 6)


@pytest.mark.slow
def test_it_compiles_as_one_graph(network):
    compiled = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    assert torch.equal(run(compiled), run(network))


@pytest.mark.slow
def test_it_learns_to_draw_the_scene():
    """Where frames are what memory shows of them, a small network soon listens to the scene branch."""
    network = tiny_transformer(text_dim=1, attention_head_dim=24, ffn_dim=96).requires_grad_(True).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    g = torch.Generator().manual_seed(2)

    def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        clean = torch.randn(8, 8, 3, 4, 4, generator=g)
        noise = torch.randn(clean.shape, generator=g)
        sigma = torch.rand(8, 3, generator=g)
        sigma[:, 0] = 0  # the first frame is given
        level = sigma[:, None, :, None, None]
        return clean, noise, sigma, (1 - level) * clean + level * noise

    def loss(shown: torch.Tensor, drawn: tuple) -> torch.Tensor:
        clean, noise, sigma, noisy = drawn
        control = torch.cat([shown, torch.zeros_like(shown)], dim=1)
        (flow,) = network(noisy, 1000 * sigma, None, control)
        return (flow - (noise - clean))[:, :, 1:].square().mean()

    for _ in range(150):
        drawn = batch()
        optimizer.zero_grad()
        loss(drawn[0], drawn).backward()
        optimizer.step()
    with torch.no_grad():
        drawn = batch()
        own, other = float(loss(drawn[0], drawn)), float(loss(drawn[0].roll(1, dims=0), drawn))
    assert own < 0.6
    assert other > 2 * own
