"""The world from above."""

import pytest
import torch

from rooms import orbit
from vmem_ros.geometry import look_at
from vmem_ros.reporting.floor_map import FloorMap
from vmem_ros.reporting.palette import PAPER
from vmem_ros.types import Elements


def floor(spacing_m: float, *, radius: bool) -> Elements:
    """Return a green floor of 4 x 3 metres around the origin."""
    x, y = torch.meshgrid(torch.arange(-2, 2, spacing_m), torch.arange(-1.5, 1.5, spacing_m), indexing="ij")
    position = torch.stack([x, y, torch.full_like(x, -1.0)], dim=-1).reshape(-1, 3)
    color = torch.tensor([0, 200, 0], dtype=torch.uint8).expand(len(position), 3)
    return Elements(position, color, radius=torch.full((len(position),), spacing_m / 2) if radius else None)


@pytest.mark.parametrize(("x", "y", "right", "down"), [(1, 0, 1, 0), (-1, 0, -1, 0), (0, 1, 0, -1), (0, -1, 0, 1)])
def test_the_pose_to_point_out_is_where_it_is(x, y, right, down):
    """x is to the right and y up; the wedge lies ahead of a camera that looks outwards."""
    floor_map = FloorMap(floor(0.1, radius=True), orbit(4), size=(200, 160))
    here = look_at((x, y, 0), (2 * x, 2 * y, 0))
    changed = floor_map.image(robot=orbit(4), here=here) != floor_map.image(robot=orbit(4))
    v, u = (changed.any(dim=-1).nonzero().double().mean(dim=0) - torch.tensor([80, 100])).tolist()
    assert u * right + v * down > 20
    assert abs(u * down) + abs(v * right) < 8


@pytest.mark.parametrize("radius", [True, False])
def test_gaps_between_elements_are_closed(radius):
    """Five centimetres are two and a half pixels here."""
    floor_map = FloorMap(floor(0.05, radius=radius), orbit(4), size=(200, 160))
    image = floor_map.image(robot=orbit(4)[:1])
    middle = image[60:100, 60:90]
    assert bool((middle[..., 1] > middle[..., 0]).all())


def test_what_is_above_the_heads_is_left_out():
    ground = floor(0.05, radius=True)
    ceiling = Elements(ground.position + torch.tensor([0.0, 0.0, 2.5]), ground.color, radius=ground.radius)
    image = FloorMap(ceiling, orbit(4), size=(200, 160)).image(robot=orbit(4)[:1])
    assert image[0, 0].tolist() == list(PAPER)
    assert not bool((image[60:100, 60:90] == torch.tensor([0, 200, 0])).all(dim=-1).any())


def test_an_empty_memory_is_paper():
    nothing = floor(0.1, radius=True).select(torch.empty(0, dtype=torch.int64))
    image = FloorMap(nothing, orbit(4), size=(200, 160)).image(robot=orbit(4)[:1])
    assert (image == torch.tensor(PAPER)).all(dim=-1).float().mean() > 0.9
