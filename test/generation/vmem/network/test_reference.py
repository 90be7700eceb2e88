"""The multi-view U-Net against names, shapes and arrays of the published implementation."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vmem_ros.generation.vmem.network import MultiviewUNet

XS = {
    "model_channels": 64,
    "num_res_blocks": 1,
    "attention_resolutions": (4, 2),
    "channel_mult": (1, 1, 1, 1),
    "num_head_channels": 16,
    "transformer_depth": (1, 2, 1, 1),
    "context_dim": 48,
}
FRAMES = {"ctx3": 8, "nf4": 4}
# The angles of the noise level are float32 in both, as published: their rounding differs between processors, and group
# norms over the two values that a group has at 1 x 1 multiply it.
TOLERANCE = {torch.float32: 2e-4, torch.float64: 2e-5}


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return np.load(reference_dir / "net_xs_io.npz")


@pytest.fixture(scope="module")
def weights(reference_dir):
    return load_file(reference_dir / "net_xs_weights_f16.safetensors")


def network(weights, dtype: torch.dtype) -> MultiviewUNet:
    unet = MultiviewUNet(**XS).eval()
    unet.load_state_dict(weights)
    return unet.to(dtype)


def inputs(arrays, case: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    def array(name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[f"{case}.{name}"])

    return {
        "sample": torch.cat([array("x"), array("concat")], dim=1).to(dtype),
        "timestep": array("t"),
        "encoder_hidden_states": array("crossattn").to(dtype),
        "dense_conditioning": array("dense").to(dtype),
        "num_frames": FRAMES[case],
    }


def test_full_size_has_the_published_names_and_shapes(reference_dir):
    published = json.loads((reference_dir / "vmem_full_state_dict_shapes.json").read_text())
    with torch.device("meta"):
        unet = MultiviewUNet()
        state = {name: torch.empty(shape) for name, shape in published["shapes"].items()}
    unet.load_state_dict(state, strict=True)
    assert {name: list(value.shape) for name, value in unet.state_dict().items()} == published["shapes"]
    assert unet.num_parameters() == 1_263_968_004
    assert unet.divisor == 8


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", FRAMES)
def test_output(arrays, weights, case, dtype):
    unet = network(weights, dtype)
    with torch.no_grad():
        noise = unet(**inputs(arrays, case, dtype)).sample
    expected = arrays[f"{case}.out_f64" if dtype == torch.float64 else f"{case}.out"]
    np.testing.assert_allclose(noise.numpy(), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", FRAMES)
def test_output_with_prepared_conditioning(arrays, weights, case, dtype):
    unet = network(weights, dtype)
    given = inputs(arrays, case, dtype)
    with torch.no_grad():
        prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"], FRAMES[case])
        noise = unet(given["sample"], given["timestep"], num_frames=FRAMES[case], prepared=prepared).sample
    expected = arrays[f"{case}.out_f64" if dtype == torch.float64 else f"{case}.out"]
    np.testing.assert_allclose(noise.numpy(), expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_features_after_every_stage(arrays, weights, dtype):
    unet = network(weights, dtype)
    stages = {"time_embed": unet.time_embed, "middle_block": unet.middle_block[-1]}
    for side in ("input_blocks", "output_blocks"):
        stages |= {f"{side}.{i}": layers[-1] for i, layers in enumerate(getattr(unet, side))}
    features = {}
    for name, layer in stages.items():
        layer.register_forward_hook(lambda module, args, output, name=name: features.update({name: output}))
    with torch.no_grad():
        unet(**inputs(arrays, "ctx3", dtype))

    recorded = {name.removeprefix("ctx3.act.") for name in arrays.files if name.startswith("ctx3.act.")}
    assert recorded == set(stages)
    for name in recorded:
        # Recorded in float32.
        expected = torch.from_numpy(arrays[f"ctx3.act.{name}"])
        assert (features[name] - expected).norm() < 2e-4 * expected.norm(), name
