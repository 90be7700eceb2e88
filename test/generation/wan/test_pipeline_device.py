"""The same pipeline on a GPU draws the same, with and without parts that are offloaded."""

import pytest
import torch

from wan_pipelines import picture_pipeline, video_pipeline

pytestmark = pytest.mark.gpu
DEVICE = "cuda"


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch):
    """On a GPU convolutions in float32 round to TF32 unless they are told not to."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def drawn(pipeline) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    images = list(torch.randint(0, 256, (16, 32, 64, 3), dtype=torch.uint8, generator=g))
    return pipeline(
        "a red room" if pipeline.text_encoder is not None else None,
        height=32, width=64, num_frames=9, scene=images[:9], coverage=list(torch.rand(9, 32, 64, generator=g)),
        history=images[9:14], references=images[14:], generator=g,
    ).frames.cpu()  # fmt: skip


@pytest.mark.parametrize("make", [video_pipeline, picture_pipeline])
@pytest.mark.parametrize("how", ["to", "enable_model_cpu_offload", "enable_sequential_cpu_offload"])
def test_pictures_are_the_same(make, how):
    pipeline = make()
    if how == "to":
        pipeline.to(DEVICE)
    else:
        getattr(pipeline, how)(device=DEVICE)
    torch.testing.assert_close(drawn(pipeline), drawn(make()), rtol=1e-3, atol=2e-3)
