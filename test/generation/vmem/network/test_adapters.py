"""What is added to a published network: LoRA adapters, and the convolution of the projection channels."""

import pytest
import torch
from peft import LoraConfig

import networks
from vmem_ros.generation.vmem.network import MultiviewUNet


def lora() -> LoraConfig:
    # No zero-initialised factor, so that the adapter acts from the start.
    return LoraConfig(r=4, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v", "to_out.0"])


@pytest.fixture(params=["plain", "prepared"])
def predict(request):
    def plain(unet, given):
        with torch.no_grad():
            return unet(**given).sample

    def prepared(unet, given):
        with torch.no_grad():
            conditioning = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"][:4])
            return unet(given["sample"], given["timestep"], prepared=conditioning).sample

    return {"plain": plain, "prepared": prepared}[request.param]


def test_adapter_changes_the_noise_and_can_be_switched_off_and_removed(predict):
    unet = networks.small_unet()
    given = networks.random_inputs(unet)
    expected = predict(unet, given)
    unet.add_adapter(lora())
    assert not torch.allclose(predict(unet, given), expected, atol=1e-3)
    unet.disable_adapters()
    torch.testing.assert_close(predict(unet, given), expected, rtol=0, atol=1e-6)
    unet.enable_adapters()
    assert not torch.allclose(predict(unet, given), expected, atol=1e-3)
    unet.delete_adapters("default")
    torch.testing.assert_close(predict(unet, given), expected, rtol=0, atol=1e-6)


def test_prepared_conditioning_sees_the_adapter():
    unet = networks.small_unet().double()
    given = networks.random_inputs(unet, dtype=torch.float64)
    torch.manual_seed(3)
    unet.add_adapter(LoraConfig(r=4, init_lora_weights=False, target_modules=r".*attn2\.(to_v|to_out\.0)"))
    with torch.no_grad():
        adapted = unet(**given).sample
        prepared = unet.prepare(given["encoder_hidden_states"], given["dense_conditioning"])
        noise = unet(given["sample"], given["timestep"], prepared=prepared).sample
    torch.testing.assert_close(noise, adapted, rtol=0, atol=1e-12)


def test_adapter_trains_without_touching_the_network():
    unet = networks.small_unet()
    unet.requires_grad_(False)
    unet.add_adapter(lora())
    given = networks.random_inputs(unet, tokens=2)
    unet(**given).sample.square().mean().backward()
    trained = {name for name, parameter in unet.named_parameters() if parameter.grad is not None}
    assert trained
    assert all("lora_" in name for name in trained)


def with_projection(unet: MultiviewUNet) -> MultiviewUNet:
    wider = networks.small_unet(seed=7, projection_channels=5)
    missing, unexpected = wider.load_state_dict(unet.state_dict(), strict=False)
    assert missing == ["projection_in.weight"]
    assert not unexpected
    return wider


def test_projection_changes_no_bit_before_training_and_the_noise_after_it():
    unet = networks.small_unet()
    wider = with_projection(unet)
    given = networks.random_inputs(wider)
    narrow = {**given, "sample": given["sample"][:, :11]}
    with torch.no_grad():
        expected = unet(**narrow).sample
        assert torch.equal(wider(**given).sample, expected)
        given["sample"][:, 11:] *= 1e6
        assert torch.equal(wider(**given).sample, expected)
        given["sample"][:, 11:] /= 1e6

    optimizer = torch.optim.SGD([wider.projection_in.weight], lr=1.0)
    loss = wider(**given).sample.square().mean()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        trained = wider(**given).sample
        assert trained.square().mean() < loss
        given["sample"][:, 11:] = 0
        assert torch.equal(wider(**given).sample, expected)
    assert not torch.allclose(trained, expected, atol=1e-5)


def test_projection_can_be_added_to_a_saved_network(tmp_path):
    unet = networks.small_unet()
    unet.save_pretrained(tmp_path)
    wider = MultiviewUNet.from_pretrained(tmp_path, projection_channels=5, low_cpu_mem_usage=False)
    given = networks.random_inputs(wider)
    with torch.no_grad():
        expected = unet(**{**given, "sample": given["sample"][:, :11]}).sample
        assert torch.equal(wider(**given).sample, expected)
