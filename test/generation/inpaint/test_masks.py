"""What a pipeline for inpainting is given of a projection."""

import torch

from generator_contract import TARGETS, recall_of
from holes import left_third_missing, with_hole
from vmem_ros.generation.inpaint.masks import picture_and_mask


def projection():
    (found,) = recall_of(TARGETS[:1]).projections
    assert found.seen.all()
    return found


def given(shown, size=(48, 64), **options):
    return picture_and_mask(shown, size, **{"cell_px": 16, "holes": "continued", "least_hole": 0.1, **options})


def test_what_is_missing_is_drawn_in_whole_cells():
    shown = projection()
    hole = torch.zeros_like(shown.seen)
    hole[:, : shown.seen.shape[1] // 3] = True
    picture, mask = given(with_hole(shown, hole))
    assert tuple(picture.shape) == (48, 64, 3)
    cells = mask.reshape(3, 16, 4, 16)
    assert torch.equal(cells.any(3).any(1), cells.all(3).all(1))
    # 21.3 of 64 columns are missing: the whole first cell, a third of the second.
    assert mask[:, :32].all()
    assert not mask[:, 32:].any()


def test_a_hole_too_thin_for_the_latents_is_not_lost():
    """The pipeline reads a few pixels of each cell: a mask of pixels would not have it at all."""
    shown = projection()
    hole = torch.zeros_like(shown.seen)
    hole[2 : shown.seen.shape[0] - 2, 3:6] = True
    _, mask = given(with_hole(shown, hole), least_hole=0.1)
    assert mask[:, :16].all()


def test_cracks_are_continued_and_not_drawn():
    shown = projection()
    crack = torch.zeros_like(shown.seen)
    crack[20, 20] = True
    picture, mask = given(with_hole(shown, crack), size=tuple(shown.seen.shape), cell_px=12)
    assert not mask.any()
    assert picture[20, 20].any()
    _, strict = given(with_hole(shown, crack), size=tuple(shown.seen.shape), cell_px=12, least_hole=0.0)
    assert strict.sum() == 144


def test_what_stands_in_the_holes():
    recall = left_third_missing(recall_of(TARGETS[:1]))
    (shown,) = recall.projections
    grey, _ = given(shown, holes="grey")
    assert (grey[:, :16] == 128).all()
    continued, _ = given(shown)
    assert not (continued[:, :16] == 128).all()
    assert torch.equal(grey[:, 32:], continued[:, 32:])


def test_nothing_is_shown():
    shown = projection()
    picture, mask = given(with_hole(shown, torch.ones_like(shown.seen)))
    assert (picture == 128).all()
    assert mask.all()
