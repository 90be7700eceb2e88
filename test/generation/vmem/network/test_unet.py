"""The multi-view U-Net: sizes, who sees whom, mistakes, types, saving, checkpointing and compiling."""

import dataclasses

import pytest
import torch

import networks
from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.network import MultiviewUNet
from vmem_ros.generation.vmem.network.architecture import plan
from vmem_ros.generation.vmem.network.transformer import to_image, to_tokens


@pytest.fixture(scope="module")
def unet():
    return networks.small_unet()


def predict(unet: MultiviewUNet, given: dict, num_frames: int = 4) -> torch.Tensor:
    with torch.no_grad():
        return unet(**given, num_frames=num_frames).sample


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"channel_mult": (1, 2, 2), "attention_resolutions": (2, 4), "transformer_depth": (1, 1, 1)},
        {"channel_mult": (1, 2, 2), "attention_resolutions": (1, 2, 4), "transformer_depth": (1, 2, 1)},
        {"channel_mult": (2,), "attention_resolutions": (), "transformer_depth": (1,), "num_res_blocks": 2},
        {"in_channels": 20, "out_channels": 8, "dense_in_channels": 3},
    ],
)
@pytest.mark.parametrize(("sets", "frames", "size"), [(1, 1, (4, 4)), (2, 3, (8, 4)), (1, 17, (4, 12))])
def test_any_number_of_frames_and_any_size_that_the_levels_divide(config, sets, frames, size):
    unet = networks.small_unet(**config)
    given = networks.random_inputs(unet, sets=sets, num_frames=frames, size=size)
    noise = predict(unet, given, frames)
    assert noise.shape == (sets * frames, unet.config.out_channels, *size)
    assert noise.isfinite().all()
    assert noise.std() > 0.01


def test_sets_do_not_see_each_other(unet):
    given = networks.random_inputs(unet)
    first = {name: value[:4] for name, value in given.items()}
    torch.testing.assert_close(predict(unet, given)[:4], predict(unet, first), rtol=1e-5, atol=1e-5)


def test_frames_of_a_set_see_each_other(unet):
    given = networks.random_inputs(unet)
    changed = {**given, "sample": given["sample"].clone()}
    changed["sample"][3] += 1
    difference = (predict(unet, given) - predict(unet, changed)).abs().amax(dim=(1, 2, 3))
    assert (difference[:4] > 1e-4).all()
    assert (difference[4:] < 1e-5).all()


def test_number_of_frames_comes_from_the_configuration_where_a_call_does_not_say(unet):
    given = networks.random_inputs(unet)
    with torch.no_grad():
        torch.testing.assert_close(unet(**given).sample, predict(unet, given, 4), rtol=0, atol=0)
        assert not torch.equal(unet(**given).sample, predict(unet, given, 2))


def test_tuple_instead_of_an_output_object(unet):
    given = networks.random_inputs(unet)
    with torch.no_grad():
        (noise,) = unet(**given, return_dict=False)
    torch.testing.assert_close(noise, predict(unet, given), rtol=0, atol=0)


def test_stages_of_the_published_size_attend_jointly_where_the_published_ones_do():
    published = dict(model_channels=320, num_res_blocks=2, attention_resolutions=(4, 2, 1), channel_mult=(1, 2, 4, 4))
    architecture = plan(**published, num_head_channels=64, transformer_depth=(1, 1, 1, 1))
    assert [i for i, stage in enumerate(architecture.inputs, 1) if stage.depth] == [1, 2, 4, 5, 7, 8]
    assert [i for i, stage in enumerate(architecture.outputs) if stage.depth] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [i for i, stage in enumerate(architecture.outputs) if stage.depth and stage.joint] == [3, 4, 5, 6, 7, 8]
    assert architecture.middle.joint
    assert not any(stage.joint for stage in architecture.inputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel_mult": ()}, "1 or more"),
        ({"num_res_blocks": 0}, "1 or more"),
        ({"transformer_depth": (1, 1, 1)}, "each of the 2 levels"),
        ({"transformer_depth": (0, 1)}, "1 or more"),
        ({"attention_resolutions": (4,)}, r"of \[1, 2\] for 2 levels, got \[4\]"),
        ({"model_channels": 40}, "multiple of 32"),
        ({"num_head_channels": 48}, "heads of num_head_channels=48"),
    ],
)
def test_configurations_that_cannot_be_built(change, message):
    with pytest.raises(ModelError, match=message):
        MultiviewUNet(**{**networks.SMALL, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": (8, 10, 4, 6)}, r"11 channels \(11 \+ 0 of the projection\), h, w\], got \[8, 10, 4, 6\]"),
        ({"sample": (8, 11, 24)}, r"got \[8, 11, 24\]"),
        ({"sample": (7, 11, 4, 6)}, "7 frames, which are no whole number of sets of num_frames=4"),
        ({"sample": (0, 11, 4, 6)}, "0 frames"),
        ({"sample": (8, 11, 4, 5)}, "4 x 5.*multiples of 2"),
        ({"sample": (8, 11, 0, 6)}, "0 x 6"),
        ({"timestep": (4,)}, r"timestep must be \[8\].*got \[4\]"),
        ({"encoder_hidden_states": (8, 1, 25)}, r"\[frames, tokens, 24\], got \[8, 1, 25\]"),
        ({"encoder_hidden_states": (8, 0, 24)}, r"got \[8, 0, 24\]"),
        ({"encoder_hidden_states": (4, 1, 24), "dense_conditioning": (4, 6, 4, 6)}, "of the sample's 8 frames.*got 4"),
        ({"encoder_hidden_states": None}, "both needed"),
        ({"dense_conditioning": (4, 6, 4, 6)}, r"must be \[8, 6, h, w\].*got \[4, 6, 4, 6\]"),
        ({"dense_conditioning": (8, 5, 4, 6)}, r"got \[8, 5, 4, 6\]"),
        ({"dense_conditioning": (8, 6, 4, 8)}, "at 4 x 6, got 8 frames at 4 x 8"),
        ({"dense_conditioning": None}, "both needed"),
    ],
)
def test_calls_that_do_not_fit(unet, change, message):
    given = networks.random_inputs(unet)
    given |= {name: None if shape is None else torch.zeros(shape) for name, shape in change.items()}
    with pytest.raises(ModelError, match=message):
        unet(**given)


def test_number_of_frames_must_be_positive(unet):
    with pytest.raises(ModelError, match="num_frames=0"):
        unet(**networks.random_inputs(unet), num_frames=0)


def test_same_input_gives_the_same_bits(unet):
    given = networks.random_inputs(unet)
    assert torch.equal(predict(unet, given), predict(unet, given))


def test_sixteen_bits():
    unet = networks.small_unet()
    given = networks.random_inputs(unet)
    expected = predict(unet, given)
    rounded = {name: value.bfloat16() if value.is_floating_point() else value for name, value in given.items()}
    noise = predict(networks.small_unet().to(torch.bfloat16), rounded)
    assert noise.dtype == torch.bfloat16
    # Eight bits of mantissa, through some fifty layers.
    assert (noise.float() - expected).norm() < 0.03 * expected.norm()


def test_group_norms_of_sixteen_bit_features_take_their_statistics_in_thirty_two():
    # A mean a hundred times the spread: statistics in 16 bits would lose the spread.
    block = networks.small_unet().to(torch.bfloat16).middle_block[0]
    features = (100 + torch.randn(2, 64, 4, 4, generator=torch.Generator().manual_seed(0))).bfloat16()
    normalise = block.in_layers[0]
    expected = torch.nn.functional.group_norm(features.double(), 32, normalise.weight.double(), normalise.bias.double())
    torch.testing.assert_close(normalise(features).double(), expected, rtol=0.01, atol=0.01)


def test_saved_and_loaded(unet, tmp_path):
    unet.save_pretrained(tmp_path)
    loaded = MultiviewUNet.from_pretrained(tmp_path)
    given = networks.random_inputs(unet)
    assert torch.equal(predict(loaded, given), predict(unet, given))
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    halved = MultiviewUNet.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert halved.dtype == torch.bfloat16


def test_built_from_a_configuration(unet):
    twin = MultiviewUNet.from_config(unet.config)
    assert twin.config == unet.config
    twin.load_state_dict(unet.state_dict(), strict=True)


def gradients(unet: MultiviewUNet, given: dict) -> dict[str, torch.Tensor]:
    unet.zero_grad(set_to_none=True)
    unet(**given).sample.square().mean().backward()
    return {name: parameter.grad.clone() for name, parameter in unet.named_parameters()}


def test_gradient_checkpointing_computes_layers_twice_and_changes_no_gradient():
    unet = networks.small_unet(num_frames=2).train()
    given = networks.random_inputs(unet, sets=1, num_frames=2, tokens=2)
    calls = []
    unet.middle_block[0].register_forward_pre_hook(lambda *_: calls.append(None))
    expected = gradients(unet, given)
    assert len(calls) == 1
    unet.enable_gradient_checkpointing()
    recomputed = gradients(unet, given)
    assert len(calls) == 3
    for name, gradient in recomputed.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.slow
def test_traces_as_one_graph():
    """``fullgraph`` raises at the first thing that the compiler cannot follow."""
    unet = networks.small_unet(attention_resolutions=(2,))
    given = networks.random_inputs(unet)
    prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"][:4])
    compiled = torch.compile(unet, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(**given).sample, predict(unet, given))
        noise = compiled(given["sample"], given["timestep"], prepared=prepared).sample
    torch.testing.assert_close(noise, predict(unet, given), rtol=1e-4, atol=1e-5)


def test_channels_last_features_are_tokens_without_a_copy():
    features = torch.randn(2, 8, 3, 5).to(memory_format=torch.channels_last)
    tokens = to_tokens(features)
    assert tokens.is_contiguous()
    assert tokens.data_ptr() == features.data_ptr()
    assert torch.equal(tokens[1, 7], features[1, :, 1, 2])
    image = to_image(tokens, 3, 5)
    assert image.data_ptr() == features.data_ptr()
    assert torch.equal(image, features)


def test_output_is_a_diffusers_output(unet):
    output = unet(**networks.random_inputs(unet))
    assert dataclasses.is_dataclass(output)
    assert torch.equal(output["sample"], output[0])
