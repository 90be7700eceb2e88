"""One change of what is remembered, and which pixels of a view it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.edits.masks import grown, nearest_known
from vmem_ros.edits.regions import FARTHEST_M, Region, Shell
from vmem_ros.errors import InvalidEditError
from vmem_ros.geometry import unproject
from vmem_ros.types import Elements, View

# Finding the neighbours of so many points takes some seconds.
_MOST_POINTS = 1 << 19
# What float32 may be wrong by where it only says what to look at more closely, relative.
_SLACK = 1e-4


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of what is remembered: first something is removed, then something is added.

    :param remove: parts of space in which nothing is to be remembered any more.
    :param add: what is to be there, or ``None``.
    """

    remove: tuple[Region, ...] = ()
    add: Elements | None = None

    def __post_init__(self) -> None:
        if not self.remove and self.add is None:
            raise InvalidEditError("an edit needs something to remove or to add")
        for region in self.remove:
            centre, radius = region.bound
            if not bool((centre.abs() <= FARTHEST_M).all()) or not radius <= FARTHEST_M:
                raise InvalidEditError(f"a region to remove is farther or larger than {FARTHEST_M:g} m")
        if self.add is not None:
            _check_cloud(self.add)

    def copied(self) -> Edit:
        """Return the same with a cloud of its own; regions do not change."""
        return self if self.add is None else replace(self, add=self.add.select(torch.arange(len(self.add))))


class Edited(NamedTuple):
    """What an edit has changed.

    :param removed: elements that are remembered no more.
    :param added: elements that are remembered now.
    :param views: stored views that lost pixels, so many ``pixels`` of all of them together.
    """

    removed: int
    added: int
    views: int
    pixels: int


def pixels_in(view: View, regions: tuple[Region, ...]) -> Tensor:
    """Return [H, W] bool: pixels of a view that show something in one of the regions, and those beside them.

    At the edge of an object a pixel has colours of both sides. Pixels without depth count as far away as the nearest
    pixels with one; those that looked at nothing (+Inf) stay.
    """
    assert view.depth is not None, "only views with depth can be asked"
    inside = torch.zeros(view.camera.size, dtype=torch.bool, device=view.depth.device)
    depth = nearest_known(view.depth.cpu()).to(view.depth.device)
    points = unproject(torch.where(torch.isfinite(depth), depth, torch.nan), view.camera).view(-1, 3)
    T = view.T_world_camera
    for region in regions:
        centre, radius = region.bound
        own = ((centre - T[:3, 3]) @ T[:3, :3]).to(points)
        near = torch.linalg.vector_norm(points - own, dim=-1) <= radius + _SLACK * (1 + radius + points[:, 2])
        pixel = near.nonzero().squeeze(1)
        there = points.index_select(0, pixel).double() @ T[:3, :3].mT.to(points.device) + T[:3, 3].to(points.device)
        inside.view(-1)[pixel[region.contains(there)]] = True
        if isinstance(region, Shell) and region.is_seen_by(view):
            inside |= region.mask.to(inside.device)
    return grown(inside) if bool(inside.any()) else inside


def _check_cloud(cloud: Elements) -> None:
    """Raise :class:`InvalidEditError` unless a cloud can be added."""
    n = len(cloud)
    shapes: dict[str, tuple[Tensor | None, tuple[int, ...], torch.dtype]] = {
        "position": (cloud.position, (n, 3), torch.float32),
        "color": (cloud.color, (n, 3), torch.uint8),
        "normal": (cloud.normal, (n, 3), torch.float32),
        "radius": (cloud.radius, (n,), torch.float32),
    }
    if not 0 < n <= _MOST_POINTS:
        raise InvalidEditError(
            f"the cloud to add has {n:,} points, and 1 to {_MOST_POINTS:,} are taken at a time: thin it, or add it in "
            "parts"
        )
    for name, (values, shape, dtype) in shapes.items():
        if values is not None and (tuple(values.shape) != shape or values.dtype != dtype):
            raise InvalidEditError(
                f"{name} of the cloud must be {dtype} {list(shape)}, got {values.dtype} {list(values.shape)}"
            )
    if not bool((cloud.position.abs() <= FARTHEST_M).all()):
        raise InvalidEditError(f"points of the cloud are not finite, or farther than {FARTHEST_M:g} m")
    if cloud.normal is not None and not bool(
        ((torch.linalg.vector_norm(cloud.normal, dim=-1) - 1).abs() < 1e-2).all()  # as float16 may have rounded them
    ):
        raise InvalidEditError("normals of the cloud must be unit vectors; leave them out if there are none")
    if cloud.radius is not None and not bool(((cloud.radius > 0) & (cloud.radius <= 1e3)).all()):
        raise InvalidEditError("radii of the cloud must be positive, and at most a kilometre")
