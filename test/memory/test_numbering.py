"""Numbers of the surfels in a picture."""

import torch

from vmem_ros.memory.numbering import Numbering


def test_distinct_surfels_are_numbered_in_ascending_order():
    numbering = Numbering(torch.device("cpu"))
    numbering.renew(torch.tensor([7, -1, 3, 7, 3, 3, 9]), 10)
    assert numbering.elements.tolist() == [3, 7, 9]
    assert numbering.of(torch.tensor([9, 3, 7, -1, 0, 8])).tolist() == [2, 0, 1, -1, -1, -1]


def test_what_was_numbered_before_is_forgotten():
    numbering = Numbering(torch.device("cpu"))
    numbering.renew(torch.arange(10), 10)
    numbering.renew(torch.tensor([4, 4]), 10)
    assert numbering.elements.tolist() == [4]
    assert numbering.of(torch.arange(10)).tolist() == [-1, -1, -1, -1, 0, -1, -1, -1, -1, -1]


def test_an_empty_picture_numbers_nothing():
    numbering = Numbering(torch.device("cpu"))
    numbering.renew(torch.tensor([-1, -1]), 5)
    assert numbering.elements.tolist() == []
    assert numbering.of(torch.tensor([0, 4, -1])).tolist() == [-1, -1, -1]


def test_any_history_of_pictures_numbers_like_unique():
    generator = torch.Generator().manual_seed(0)
    numbering = Numbering(torch.device("cpu"))
    for n_surfels in (5, 50, 40, 500, 3):
        ids = torch.randint(-1, n_surfels, (200,), generator=generator)
        numbering.renew(ids, n_surfels)
        expected = ids[ids >= 0].unique()
        assert torch.equal(numbering.elements, expected)
        shown = ids[ids >= 0]
        assert torch.equal(expected[numbering.of(shown)], shown)
