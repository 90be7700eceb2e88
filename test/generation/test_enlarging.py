"""Pictures drawn small, joined to what memory shows in full size."""

import torch

from memories import CAMERA, memory_of, views_at
from rooms import box_view, orbit, psnr
from vmem_ros.generation.enlarging import enlarge_into
from vmem_ros.generation.resizing import resize_image
from vmem_ros.geometry import Camera
from vmem_ros.types import Projection, Target

LARGE = Camera(CAMERA.K * torch.tensor([[4.0], [4.0], [1.0]]), 4 * CAMERA.width, 4 * CAMERA.height)
POSE = orbit(16, radius=0.8)[3]
SMALL_SIZE = (LARGE.height // 4, LARGE.width // 4)


def shown(seen: torch.Tensor) -> tuple[Projection, torch.Tensor]:
    """What a memory shows of a room where ``seen``, and the truth."""
    truth = box_view(LARGE, POSE, panel=True)
    depth = torch.where(seen, truth.depth, torch.nan)
    image = torch.where(seen[..., None], truth.image, 0)
    return Projection(image, depth, seen, torch.where(seen, 0, -1), seen.float()), truth.image


def half() -> torch.Tensor:
    seen = torch.ones(LARGE.size, dtype=torch.bool)
    seen[:, LARGE.width // 2 :] = False
    return seen


def test_remembered_pixels_are_those_of_memory():
    projection, truth = shown(half())
    found = enlarge_into(resize_image(truth, SMALL_SIZE), projection, cell_px=8)
    assert found.shape == truth.shape
    assert found.dtype == torch.uint8
    assert torch.equal(found[half()], truth[half()])


def test_far_from_memory_the_picture_is_as_drawn():
    projection, truth = shown(half())
    drawn = resize_image(truth, SMALL_SIZE)
    found = enlarge_into(drawn, projection, cell_px=1)
    far = slice(3 * LARGE.width // 4, None)
    assert psnr(found[:, far], resize_image(drawn, LARGE.size)[:, far]) > 30


def test_a_tint_of_the_drawing_is_taken_out():
    projection, truth = shown(half())
    tinted = (resize_image(truth, SMALL_SIZE).float() * 0.7).to(torch.uint8)
    found = enlarge_into(tinted, projection, cell_px=1)
    enlarged = resize_image(tinted, LARGE.size)
    assert psnr(found[~half()][None], truth[~half()][None]) > psnr(enlarged[~half()][None], truth[~half()][None]) + 3


def test_what_cannot_draw_what_is_known_is_believed_less():
    """Noise in place of the picture: a hole of a few cells is continued from its border instead."""
    seen = torch.ones(LARGE.size, dtype=torch.bool)
    seen[80:96, 100:116] = False
    projection, truth = shown(seen)
    noise = torch.randint(0, 256, (*SMALL_SIZE, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = enlarge_into(noise, projection, cell_px=8)
    drawn = resize_image(noise, LARGE.size)
    assert psnr(found[~seen][None], truth[~seen][None]) > psnr(drawn[~seen][None], truth[~seen][None]) + 8


def test_without_memory_it_is_the_drawing():
    projection, truth = shown(torch.zeros(LARGE.size, dtype=torch.bool))
    drawn = resize_image(truth, SMALL_SIZE)
    assert torch.equal(enlarge_into(drawn, projection, cell_px=8), resize_image(drawn, LARGE.size))


def test_with_nothing_but_memory_it_is_memory():
    projection, truth = shown(torch.ones(LARGE.size, dtype=torch.bool))
    found = enlarge_into(torch.zeros(*SMALL_SIZE, 3, dtype=torch.uint8), projection, cell_px=8)
    assert torch.equal(found, truth)


def test_a_projection_of_a_memory():
    memory = memory_of(views_at(orbit(8), panel=True))
    truth = box_view(LARGE, POSE, panel=True).image
    projection = memory.project(Target(LARGE, POSE))
    found = enlarge_into(resize_image(truth, SMALL_SIZE), projection, cell_px=8)
    assert psnr(found, truth) > 25
