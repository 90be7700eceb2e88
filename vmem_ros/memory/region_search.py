"""Which elements and which views have to do with a part of space, without looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.edits import Region
from vmem_ros.geometry import Camera
from vmem_ros.memory.bounds import BlockBounds, Bounds, members_of

# Bounds are float32.
_SLACK, _SLACK_M = 1.001, 1e-3


def elements_in(
    regions: Sequence[Region], bounds: BlockBounds, position: Tensor, origin: Tensor, standing: Tensor
) -> Tensor:
    """Return the elements whose places lie in one of the regions: [n] int64, ascending.

    :param bounds: of the elements, relative to ``origin`` [3] float64 like their ``position`` [N, 3] float32.
    :param standing: [N] bool: which of them are asked about.
    """
    inside = torch.zeros_like(standing)
    for region in regions:
        centre, radius = region.bound
        number = _members_near(bounds, len(position), (centre - origin).to(position), radius * _SLACK + _SLACK_M)
        number = number[standing[number]]
        places = position.index_select(0, number).double() + origin.to(position.device)
        inside[number[region.contains(places)]] = True
    return inside.nonzero().squeeze(1)


def views_that_may_see(cameras: Sequence[Camera], poses: Tensor, centre: Tensor, radius: float) -> Tensor:
    """Return the views [n] int64, ascending, that have a part of a sphere in their pictures, if nothing hides it.

    :param poses: [V, 4, 4] ``T_world_camera`` of the cameras.
    :param centre: [3] float64 in the world.
    """
    if not len(cameras):
        return torch.empty(0, dtype=torch.int64)
    own = ((centre - poses[:, :3, 3])[:, None] @ poses[:, :3, :3]).squeeze(1)
    # What is skewed leans by so much at most.
    edges = torch.tensor(
        [[c.cx / c.fx, (c.width - c.cx) / c.fx, c.cy / c.fy, (c.height - c.cy) / c.fy] for c in cameras],
        dtype=torch.float64,
    )
    x, y, z = own.unbind(-1)
    sides = torch.stack([x, -x, y, -y], dim=-1)
    inside = (sides + edges * z[:, None]) / (1 + edges.square()).sqrt() > -radius
    return ((z > -radius) & inside.all(dim=-1)).nonzero().squeeze(1)


def _members_near(bounds: BlockBounds, length: int, centre: Tensor, radius: float) -> Tensor:
    """Return the elements, among so many, of the blocks that come so near to a place [3] float32: [n] int64."""

    def near(spheres: Bounds) -> Tensor:
        distance = torch.linalg.vector_norm(spheres.centre - centre, dim=-1)
        return (distance <= spheres.radius + radius).nonzero().squeeze(1)

    members = members_of(near(bounds.groups))
    members = members[members < len(bounds.blocks.radius)]
    number = members_of(members[near(bounds.blocks.select(members))])
    return number[number < length]
