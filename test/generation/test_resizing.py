"""The size a network works at, and pictures resized to it and back."""

import pytest
import torch

from vmem_ros.generation.resizing import resize_image, resize_projection, working_size
from vmem_ros.geometry import Camera
from vmem_ros.types import Projection


@pytest.mark.parametrize(
    ("width", "height", "max_side", "expected"),
    [
        (576, 576, None, (576, 576)),
        (640, 480, None, (512, 640)),
        (100, 30, None, (64, 128)),
        (16, 16, None, (64, 64)),
        (1920, 1080, None, (1088, 1920)),
        (1920, 1080, 576, (320, 576)),
        (1080, 1920, 600, (576, 320)),
        (576, 576, 575, (512, 512)),
        (640, 480, 64, (64, 64)),
    ],
)
def test_working_size_is_the_nearest_that_the_network_can_draw(width, height, max_side, expected) -> None:
    assert working_size(Camera.from_fov(width, height, 60), multiple=64, max_side=max_side) == expected


def test_images_keep_what_they_show() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 3, 96), torch.linspace(0, 4, 128), indexing="ij")
    smooth = (127 + 100 * torch.stack([torch.sin(x), torch.cos(y), torch.sin(x + y)], -1)).to(torch.uint8)
    back = resize_image(resize_image(smooth, (64, 192)), (96, 128))
    assert back.dtype == torch.uint8
    assert (back.int() - smooth.int()).abs().max() <= 3
    assert resize_image(smooth, (96, 128)) is smooth


def test_a_pattern_finer_than_the_new_pixels_becomes_its_mean() -> None:
    checkers = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).to(torch.uint8)[..., None].expand(-1, -1, 3)
    small = resize_image(checkers, (16, 16)).int()
    assert (small - 127).abs().max() <= 2


def test_holes_do_not_darken_their_borders() -> None:
    seen = torch.zeros(64, 64, dtype=torch.bool)
    seen[:, :30] = True
    image = torch.where(seen[..., None], 200, 0).to(torch.uint8).expand(-1, -1, 3)
    nothing = torch.zeros(64, 64)
    projection = Projection(image, nothing, seen, nothing.long(), nothing)
    small, kept, _ = resize_projection(projection, (16, 16))
    assert kept.sum(dim=1).unique().tolist() == [8]
    assert small[kept].unique().tolist() == [200]
    assert small[~kept].unique().tolist() == [0]
    same, mask, _ = resize_projection(projection, (64, 64))
    assert same is image
    assert mask is seen
