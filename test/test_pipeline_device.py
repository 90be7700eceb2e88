"""The same pipeline on another device draws the same. ``VMEM_TEST_DEVICE=cuda`` names it."""

import os

import pytest
import torch

from chunks import chunk, tiny_pipeline

DEVICE = os.environ.get("VMEM_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch):
    """On a GPU convolutions in float32 round to TF32 unless they are told not to."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("sampler", ["published", "fast"])
def test_images_are_the_same(sampler):
    """Whatever the device: noise comes from a generator on the CPU, references and poses are given there."""
    options = {"sampler": sampler, "guidance_interval": (0.5, 30), "num_inference_steps": 5}
    expected = tiny_pipeline()(**chunk(**options))
    found = tiny_pipeline().to(DEVICE)(**chunk(**options))
    for name in ("images", "latents", "embeddings", "reference_latents", "reference_embeddings"):
        tensor = getattr(found, name)
        assert tensor.device.type == torch.device(DEVICE).type
        torch.testing.assert_close(tensor.cpu(), getattr(expected, name), rtol=1e-3, atol=2e-3)
    again = {"reference_latents": found.reference_latents, "reference_embeddings": found.reference_embeddings}
    cached = tiny_pipeline().to(DEVICE)(**chunk(**options, **again))
    torch.testing.assert_close(cached.images, found.images, rtol=1e-3, atol=2e-3)


@pytest.mark.skipif(torch.device(DEVICE).type == "cpu", reason="parts are moved to and from a device; this is the CPU")
def test_offloaded_parts_draw_the_same():
    pipeline = tiny_pipeline()
    pipeline.enable_model_cpu_offload(device=DEVICE)
    found = pipeline(**chunk())
    torch.testing.assert_close(found.images.cpu(), tiny_pipeline()(**chunk()).images, rtol=1e-3, atol=2e-3)
    assert {parameter.device.type for parameter in pipeline.unet.parameters()} == {"cpu"}
