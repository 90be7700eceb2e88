"""Video, mask and references as diffusers' pipeline takes them, seen in what it makes of them."""

import numpy as np
import pytest
import torch

from stock_pipelines import tiny_vace
from vmem_ros.generation.wan_vace.control import as_references, as_video, conservative_holes

SIZE = (32, 48)


@pytest.fixture(scope="module")
def pipeline():
    return tiny_vace()


def read_by(pipeline, drawn: torch.Tensor) -> torch.Tensor:
    """Return the mask [f, h, w] bool of each latent frame, as the pipeline reads it."""
    pictures = torch.full((*drawn.shape, 3), 200, dtype=torch.uint8)
    video, mask = as_video(pictures, drawn)
    _, made, references = pipeline.preprocess_conditions(
        video, mask, None, 1, drawn.shape[1], drawn.shape[2], len(drawn), torch.float32, "cpu"
    )
    of_latents = pipeline.prepare_masks(made, references)[0]
    # 64 channels are the pixels of a cell.
    return (
        of_latents.reshape(8, 8, -1, drawn.shape[1] // 8, drawn.shape[2] // 8)
        .permute(2, 3, 0, 4, 1)
        .flatten(3, 4)
        .flatten(1, 2)
        .bool()
    )


@pytest.mark.parametrize("frames", [5, 9, 13, 33, 81])
def test_a_hole_in_any_picture_is_drawn_in_its_latent_frame(pipeline, frames):
    """Whichever picture the pipeline reads the mask of a latent frame from."""
    for frame in {0, 1, 2, 4, frames // 2, frames - 1}:
        holes = torch.zeros(frames, *SIZE, dtype=torch.bool)
        holes[frame, 8:16, 8:24] = True
        latent = (frame + 3) // 4
        drawn = conservative_holes(holes, 4)
        assert (read_by(pipeline, drawn)[latent] >= holes[frame]).all()
        # And no picture of a latent frame says otherwise than the others.
        group = (torch.arange(frames) + 3) // 4
        assert all(torch.equal(drawn[i], drawn[group == group[i]][0]) for i in range(frames))
        assert (drawn[group == latent] >= holes[frame]).all()


def test_without_it_the_pipeline_would_miss_holes(pipeline):
    """What these tests guard against: the same mask as it is."""
    holes = torch.zeros(9, *SIZE, dtype=torch.bool)
    holes[5, 8:16, 8:24] = True
    assert not read_by(pipeline, holes).any()


def test_known_pictures_at_the_start_are_kept():
    holes = torch.ones(13, *SIZE, dtype=torch.bool)
    holes[:5] = False
    drawn = conservative_holes(holes, 4)
    assert not drawn[:5].any()
    assert drawn[5:].all()


def test_grey_where_it_is_to_draw():
    pictures = torch.full((5, *SIZE, 3), 200, dtype=torch.uint8)
    drawn = torch.zeros(5, *SIZE, dtype=torch.bool)
    drawn[1:, :, :24] = True
    video, mask = as_video(pictures, drawn)
    assert np.asarray(video[0]).min() == 200
    assert (np.asarray(video[1])[:, :24] == 128).all()
    assert (np.asarray(video[1])[:, 24:] == 200).all()
    assert np.array_equal(np.asarray(mask[1]) == 255, drawn[1].numpy())


def test_the_best_reference_lies_beside_the_clip(pipeline):
    """The pipeline stacks references in front of one another: the first of the list ends up last."""
    colours = (250, 130, 10)
    images = [torch.full((*SIZE, 3), colour, dtype=torch.uint8) for colour in colours]
    references = as_references(images, SIZE)
    drawn = torch.ones(5, *SIZE, dtype=torch.bool)
    video, mask = as_video(torch.zeros(5, *SIZE, 3, dtype=torch.uint8), drawn)
    made = pipeline.preprocess_conditions(video, mask, references, 1, *SIZE, 5, torch.float32, "cpu")
    latents = pipeline.prepare_video_latents(*made, device="cpu")[0]
    alone = [
        pipeline.prepare_video_latents(
            *pipeline.preprocess_conditions(
                video, mask, as_references([image], SIZE), 1, *SIZE, 5, torch.float32, "cpu"
            ),
            device="cpu",
        )[0][:, 0]
        for image in images
    ]
    for slot, best in enumerate((2, 1, 0)):
        torch.testing.assert_close(latents[:, slot], alone[best])


def test_references_have_no_white_rim_unless_they_are_of_another_shape(pipeline):
    near, far = (torch.full((*size, 3), 10, dtype=torch.uint8) for size in ((30, 47), (64, 32)))
    made = pipeline.preprocess_conditions(
        None, None, as_references([near, far], SIZE), 1, *SIZE, 5, torch.float32, "cpu"
    )
    fitted, whole = made[2][0]
    assert float(fitted.max()) < 0
    assert float(whole[:, :, 0].min()) == 1
    assert float(whole[:, :, 24].max()) < 0
    assert as_references([], SIZE) is None
