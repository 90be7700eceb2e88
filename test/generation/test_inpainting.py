"""Holes filled from their borders."""

import pytest
import torch

from vmem_ros.generation.inpainting import FLAGS, inpaint


def ramp() -> torch.Tensor:
    return torch.arange(0, 160, 4, dtype=torch.uint8)[None, :, None].expand(24, 40, 3).contiguous()


@pytest.mark.parametrize("how", FLAGS)
def test_a_hole_is_continued_and_the_rest_stays(how):
    image, seen = ramp(), torch.ones(24, 40, dtype=torch.bool)
    seen[8:14, 10:16] = False
    torn = torch.where(seen[..., None], image, 0)
    found = inpaint(torn, seen, how=how)
    assert torch.equal(found[seen], image[seen])
    assert (found.int() - image.int())[~seen].abs().max() < 20


def test_without_a_hole_it_is_a_copy():
    image = ramp()
    found = inpaint(image, torch.ones(24, 40, dtype=torch.bool))
    assert torch.equal(found, image)
    assert found.data_ptr() != image.data_ptr()
