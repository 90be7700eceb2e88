"""Networks whose layers say the clean latents: what comes out is the flow, as of all others."""

import pytest
import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanTransformer3DModel
from wan_networks import tiny_transformer


def test_the_flow_follows_from_the_latents_that_the_layers_say(tmp_path):
    plain = tiny_transformer()
    plain.save_pretrained(tmp_path)
    saying_latents = SceneWanTransformer3DModel.from_pretrained(tmp_path, prediction="sample")
    assert saying_latents.config.prediction == "sample"
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(2, plain.config.in_channels, 3, 4, 4, generator=generator)
    times = torch.tensor([[0.0, 1000.0, 1000.0], [0.0, 400.0, 20.0]])
    with torch.no_grad():
        (said,), (flow,) = (network(noisy, times, None) for network in (plain, saying_latents))
    at = times[:, None, :, None, None] / 1000
    # From noise alone one step leads to what was said; near time 0 the division is bounded.
    torch.testing.assert_close((noisy - at * flow)[:, :, 1], said[:, :, 1])
    torch.testing.assert_close(flow[1, :, 2], (noisy - said)[1, :, 2] / 0.05)


def test_a_difference_is_added_to_what_memory_shows_of_the_frames_that_have_control(tmp_path):
    plain = tiny_transformer()
    plain.save_pretrained(tmp_path)
    saying_differences = SceneWanTransformer3DModel.from_pretrained(tmp_path, prediction="difference")
    generator = torch.Generator().manual_seed(0)
    channels = plain.config.in_channels
    noise = torch.randn(1, channels, 4, 4, 4, generator=generator)
    control = torch.randn(1, 2 * channels, 2, 4, 4, generator=generator)
    times, controlled = torch.full((1, 4), 1000.0), slice(1, 3)
    told = {"num_references": 1, "control_hidden_states": control, "control_frames": controlled}
    with torch.no_grad():
        (said,), (flow,) = (network(noise, times, None, **told) for network in (plain, saying_differences))
        (alone,), (said_alone,) = (network(noise, times, None) for network in (saying_differences, plain))
    wanted = said.clone()
    wanted[:, :, controlled] += control[:, :channels]
    torch.testing.assert_close(noise - flow, wanted)
    torch.testing.assert_close(noise - alone, said_alone)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ModelError, match="prediction must be one of velocity, sample, difference, got 'noise'"):
        SceneWanTransformer3DModel(prediction="noise")
