"""Prepared conditioning changes nothing but the work: values, guidance halves, copies and operations."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import networks
from vmem_ros.benchmarking.flops import count_flops, network_flops
from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.network import attention_backend
from vmem_ros.generation.vmem.network.attention import attend
from vmem_ros.generation.vmem.network.transformer import MultiviewTransformer

PREPARED_TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def prepared_noise(unet, given, *, dense_sets: int = 1, num_frames: int = 4) -> torch.Tensor:
    dense = given["dense_conditioning"][: dense_sets * num_frames]
    with torch.no_grad():
        prepared = unet.prepare(given["encoder_hidden_states"], dense, num_frames)
        return unet(given["sample"], given["timestep"], num_frames=num_frames, prepared=prepared).sample


def plain_noise(unet, given, num_frames: int = 4) -> torch.Tensor:
    with torch.no_grad():
        return unet(**given, num_frames=num_frames).sample


@pytest.mark.parametrize("dtype", PREPARED_TOLERANCE)
@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("dense_sets", [1, 2])
def test_same_noise(dtype, tokens, dense_sets):
    unet = networks.small_unet().to(dtype)
    given = networks.random_inputs(unet, tokens=tokens, dtype=dtype)
    expected = plain_noise(unet, given)
    noise = prepared_noise(unet, given, dense_sets=dense_sets)
    assert (noise - expected).abs().max() < PREPARED_TOLERANCE[dtype] * expected.abs().max()


def test_same_noise_where_every_set_has_its_own_map():
    unet = networks.small_unet().double()
    given = networks.random_inputs(unet, dtype=torch.float64)
    given["dense_conditioning"][4:] *= -1
    torch.testing.assert_close(prepared_noise(unet, given, dense_sets=2), plain_noise(unet, given), rtol=0, atol=1e-12)
    shared = prepared_noise(unet, given, dense_sets=1)
    assert not torch.allclose(shared, plain_noise(unet, given), atol=1e-3)


def test_sixteen_bits_differ_by_rounding():
    unet = networks.small_unet().to(torch.bfloat16)
    given = networks.random_inputs(unet)
    given = {name: value.bfloat16() if value.is_floating_point() else value for name, value in given.items()}
    expected, noise = plain_noise(unet, given).float(), prepared_noise(unet, given).float()
    assert (noise - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("dense_sets", [1, 2])
@pytest.mark.parametrize("tokens", [1, 2])
def test_one_half_of_guidance_alone(tokens, dense_sets):
    unet = networks.small_unet().double()
    given = networks.random_inputs(unet, tokens=tokens, dtype=torch.float64)
    prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"][: 4 * dense_sets])
    half = prepared.select(1)
    with torch.no_grad():
        noise = unet(given["sample"][4:], given["timestep"][4:], prepared=half).sample
    torch.testing.assert_close(noise, plain_noise(unet, given)[4:], rtol=0, atol=1e-12)
    for name, modulation in half.modulations.items():
        assert modulation.gain.untyped_storage().data_ptr() == (
            prepared.modulations[name].gain.untyped_storage().data_ptr()
        )


def test_bytes_of_a_shared_map_are_half_of_those_of_two():
    unet = networks.small_unet()
    given = networks.random_inputs(unet)
    context, dense = given["encoder_hidden_states"], given["dense_conditioning"]
    shared, two = unet.prepare(context, dense[:4]), unet.prepare(context, dense)
    modulations = sum(2 * m.gain.numel() * 4 for m in shared.modulations.values())
    assert two.num_bytes - shared.num_bytes == modulations
    assert all(m.shift.untyped_storage().nbytes() == m.shift.numel() * 4 for m in shared.modulations.values())


@pytest.mark.parametrize(("first", "count"), [(2, 1), (-1, 1), (0, 3), (0, 0)])
def test_sets_that_are_not_there(first, count):
    unet = networks.small_unet()
    given = networks.random_inputs(unet)
    prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"])
    with pytest.raises(ModelError, match="there are 2"):
        prepared.select(first, count)


def test_maps_of_two_sets_shared_by_four_in_turns():
    unet = networks.small_unet().double()
    given = networks.random_inputs(unet, dtype=torch.float64)
    given["dense_conditioning"][4:] *= -1
    twice = {name: torch.cat([value, value.flip(0) if name == "sample" else value]) for name, value in given.items()}
    with torch.no_grad():
        prepared = unet.prepare(twice["encoder_hidden_states"], given["dense_conditioning"])
        noise = unet(twice["sample"], twice["timestep"], prepared=prepared).sample
        last = unet(twice["sample"][8:], twice["timestep"][8:], prepared=prepared.select(2, 2)).sample
    torch.testing.assert_close(noise, plain_noise(unet, twice), rtol=0, atol=1e-12)
    torch.testing.assert_close(last, noise[8:], rtol=0, atol=1e-12)
    with pytest.raises(ModelError, match="2 sets share a map in turns: select whole turns, not 1 sets from 3 on"):
        prepared.select(3)


def test_conditioning_of_other_frames_is_refused():
    unet = networks.small_unet()
    given = networks.random_inputs(unet)
    context, dense = given["encoder_hidden_states"], given["dense_conditioning"]
    prepared = unet.prepare(context, dense)
    with pytest.raises(ModelError, match="2 sets of 4 frames at 4 x 6, the sample has 4 frames"):
        unet(given["sample"][:4], given["timestep"][:4], prepared=prepared)
    with pytest.raises(ModelError, match="in sets of 2"):
        unet(given["sample"], given["timestep"], num_frames=2, prepared=prepared)
    with pytest.raises(ModelError, match="at 2 x 6: prepare again"):
        unet(given["sample"][:, :, :2], given["timestep"], prepared=prepared)
    with pytest.raises(ModelError, match="not both"):
        unet(**given, prepared=prepared)
    with pytest.raises(ModelError, match=r"must be \[8 or 4, 6, h, w\]"):
        unet.prepare(context, dense[:2])


def test_a_single_token_reads_like_the_same_token_twice():
    """Two equal keys share the weight of one, so full attention to the pair must agree with the linear map of one."""
    unet = networks.small_unet().double()
    given = networks.random_inputs(unet, dtype=torch.float64)
    twice = {**given, "encoder_hidden_states": given["encoder_hidden_states"].repeat(1, 2, 1)}
    torch.testing.assert_close(prepared_noise(unet, given), plain_noise(unet, twice), rtol=0, atol=1e-12)


@pytest.mark.parametrize("keys", [1, 8, 40])
@pytest.mark.parametrize("leading", [(2, 3), (2, 5, 3)])
def test_attention_backends_agree(keys, leading):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(*leading, 8, 16, generator=generator, dtype=torch.float64)
    key, value = (torch.randn(*leading, keys, 16, generator=generator, dtype=torch.float64) for _ in range(2))
    expected = (query @ key.mT / 4).softmax(-1) @ value
    for backend in ("auto", "fused", "matmul"):
        with attention_backend(backend):
            torch.testing.assert_close(attend(query, key, value), expected, rtol=0, atol=1e-12)


class Operators(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("frames", "fused"), [(16, 0), (17, 1)])
def test_short_sequences_of_frames_use_no_fused_kernel(frames, fused):
    unet = networks.small_unet(attention_resolutions=())
    given = networks.random_inputs(unet, sets=1, num_frames=frames, size=(4, 4))
    with Operators() as operators, attention_backend("auto"):
        prepared_noise(unet, given, num_frames=frames)
    kernels = sum(count for name, count in operators.count.items() if "scaled_dot_product" in name)
    # The joint attention of the middle has 4 tokens a frame and is always fused.
    assert kernels == 1 + fused


def test_channels_last_features_are_copied_only_to_regroup_frames():
    """Queries, keys, values and result of each time-mix attention change their order; nothing else does."""
    unet = networks.small_unet(attention_resolutions=(1, 2)).to(memory_format=torch.channels_last)
    given = networks.random_inputs(unet, size=(16, 16))
    given = {n: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in given.items()}
    prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"][:4])
    with torch.no_grad(), Operators() as operators:
        noise = unet(given["sample"], given["timestep"], prepared=prepared).sample
    assert noise.is_contiguous(memory_format=torch.channels_last)
    transformers = sum(isinstance(module, MultiviewTransformer) for module in unet.modules())
    assert operators.count["clone"] == 4 * transformers
    assert operators.count["copy_"] == 0


@pytest.mark.slow
def test_operations_of_the_published_size():
    plain = network_flops(height=72, width=72)
    prepared = network_flops(height=72, width=72, prepared=True)
    # 13.17e12 were counted on the published implementation, which repeats the context for every position (0.06e12).
    assert plain.total == pytest.approx(13.108e12, rel=1e-3)
    saved = plain.total - prepared.total
    assert saved / plain.total == pytest.approx(0.040, abs=0.001)
    assert plain.by_kind["linear"] - prepared.by_kind["linear"] == pytest.approx(0.518e12, rel=1e-2)


def test_operations_counted_by_kind():
    x = torch.zeros(5, 7)
    assert dict(count_flops(lambda: x @ x.T).by_kind) == {"convolution": 0, "linear": 2 * 5 * 5 * 7, "attention": 0}
    image, kernel = torch.zeros(1, 3, 6, 6), torch.zeros(4, 3, 1, 1)
    assert count_flops(lambda: torch.conv2d(image, kernel)).total == 2 * 36 * 3 * 4
