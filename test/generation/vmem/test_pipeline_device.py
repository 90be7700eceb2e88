"""The same pipeline on a GPU draws the same."""

import pytest
import torch

from chunks import HEIGHT, REFERENCES, TARGETS, WIDTH, chunk, tiny_pipeline
from tiny_models import tiny_unet
from vmem_ros.types import Projection

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


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


def test_offloaded_parts_draw_the_same():
    pipeline = tiny_pipeline()
    pipeline.enable_model_cpu_offload(device=DEVICE)
    found = pipeline(**chunk())
    torch.testing.assert_close(found.images.cpu(), tiny_pipeline()(**chunk()).images, rtol=1e-3, atol=2e-3)
    assert {parameter.device.type for parameter in pipeline.unet.parameters()} == {"cpu"}


def shown_chunk(references, memory):
    """Return a chunk whose pictures lie on one device, and what memory shows on another."""
    g = torch.Generator().manual_seed(3)
    shown = []
    for _ in range(TARGETS):
        image = torch.randint(0, 256, (HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=g)
        depth = 1 + torch.rand(HEIGHT, WIDTH, generator=g)
        seen = torch.rand(HEIGHT, WIDTH, generator=g) < 0.7
        ids = torch.where(seen, 0, -1)
        shown.append(Projection(*(tensor.to(memory) for tensor in (image, depth, seen, ids, seen.float()))))
    given = chunk(projections=shown, reference_depths=[torch.full((HEIGHT, WIDTH), 2.0, device=memory)] * REFERENCES)
    return given | {"reference_images": [image.to(references) for image in given["reference_images"]]}


@pytest.mark.parametrize("hole_filling", ["smooth", "room"])
def test_pictures_and_memory_may_live_elsewhere(hole_filling):
    def drawn(on, *places):
        unet = tiny_unet(projection_channels=5)
        torch.manual_seed(1)
        torch.nn.init.normal_(unet.projection_in.weight, std=0.3)
        pipeline = tiny_pipeline(unet=unet, hole_filling=hole_filling)
        return pipeline.to(on)(**shown_chunk(*places)).images.cpu()

    expected = drawn("cpu", "cpu", "cpu")
    for places in ((DEVICE, DEVICE), ("cpu", DEVICE), (DEVICE, "cpu")):
        torch.testing.assert_close(drawn(DEVICE, *places), expected, rtol=1e-3, atol=2e-3)
