"""Parts that are moved while they are at work, as far as that can be seen without a GPU."""

import pytest
import torch

from hooks import noted_order, parts_elsewhere
from wan_pipelines import picture_pipeline, video_pipeline


def drawn(pipeline) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    images = list(torch.randint(0, 256, (16, 32, 64, 3), dtype=torch.uint8, generator=g))
    return pipeline(
        "a red room" if pipeline.text_encoder is not None else None,
        height=32, width=64, num_frames=9, scene=images[:9], history=images[9:14], references=images[14:], generator=g,
    ).frames  # fmt: skip


@pytest.mark.parametrize("make", [video_pipeline, picture_pipeline])
def test_every_part_is_called_so_that_it_can_be_moved(make):
    pipeline = make()
    order = noted_order(pipeline)
    drawn(pipeline)
    texts = ["text_encoder"] if pipeline.text_encoder is not None else []
    assert order == [*texts, "vae", "transformer", "vae"]
    assert [name for name in pipeline.model_cpu_offload_seq.split("->") if name in order] == [
        *texts,
        "transformer",
        "vae",
    ]


@pytest.mark.parametrize("make", [video_pipeline, picture_pipeline])
def test_layer_by_layer(make):
    """Parameters lie elsewhere, and come only while their layer computes."""
    expected, pipeline = drawn(make()), make()
    parts_elsewhere(pipeline)
    torch.testing.assert_close(drawn(pipeline), expected, rtol=0, atol=1e-5)
