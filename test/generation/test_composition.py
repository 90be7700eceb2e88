"""Blending remembered pixels into a generated picture."""

import pytest
import torch

from vmem_ros.generation import composite_remembered, feather
from vmem_ros.types import Projection

SIZE = (24, 40)


def projection(seen: torch.Tensor, color: int = 200) -> Projection:
    image = torch.where(seen[..., None], color, 0).expand(*SIZE, 3).to(torch.uint8)
    return Projection(image, torch.where(seen, 2.0, torch.nan), seen, torch.where(seen, 0, -1), seen.float())


def left_half() -> torch.Tensor:
    seen = torch.zeros(SIZE, dtype=torch.bool)
    seen[:, :20] = True
    return seen


class TestFeather:
    def test_rises_from_the_edge_inwards(self):
        assert feather(left_half(), width=4)[12].tolist() == [1.0] * 17 + [0.75, 0.5, 0.25] + [0.0] * 20

    def test_the_border_of_the_picture_is_no_edge(self):
        assert (feather(torch.ones(SIZE, dtype=torch.bool)) == 1).all()

    def test_nothing_seen(self):
        assert (feather(torch.zeros(SIZE, dtype=torch.bool)) == 0).all()

    def test_isolated_pixels_weigh_little(self):
        seen = torch.zeros(SIZE, dtype=torch.bool)
        seen[5, 7] = True
        alpha = feather(seen, width=4)
        assert alpha[5, 7] == 0.25
        assert (alpha > 0).sum() == 1


class TestComposite:
    def test_outside_is_the_generated_inside_the_remembered_picture(self):
        generated = torch.full((*SIZE, 3), 100, dtype=torch.uint8)
        out = composite_remembered(generated, projection(left_half()))
        assert out.dtype == torch.uint8
        assert (out[:, 20:] == 100).all()
        assert (out[:, :17] == 200).all()
        assert out[12, 17:20, 0].tolist() == [175, 150, 125]

    @pytest.mark.parametrize("seen", [True, False])
    def test_all_or_nothing(self, seen):
        generated = torch.randint(0, 256, (*SIZE, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        remembered = projection(torch.full(SIZE, seen))
        out = composite_remembered(generated, remembered)
        assert torch.equal(out, remembered.image if seen else generated)

    def test_of_equal_pictures_is_the_picture(self):
        same = torch.full((*SIZE, 3), 200, dtype=torch.uint8)
        assert torch.equal(composite_remembered(same, projection(left_half())), same)
