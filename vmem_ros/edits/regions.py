"""Parts of space in which nothing is to be remembered any more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from vmem_ros.edits.masks import grown, nearest_known
from vmem_ros.errors import InvalidEditError
from vmem_ros.geometry import as_pose, invert, project, unproject
from vmem_ros.types import Target, View

#: Nothing that a camera measures is farther from the origin, and no place that is to be empty is larger.
FARTHEST_M = 1e9
# What is shown under a mask may lie so much nearer than it is shown, relative: depths of several views differ.
_NEARER = 0.05
# Of entries of a pose that is the same.
_SAME_POSE = 1e-6


class Region(Protocol):
    """A part of space."""

    @property
    def bound(self) -> tuple[Tensor, float]:
        """A sphere that holds it: centre [3] float64 in the world, and radius in metres."""
        ...

    def contains(self, points: Tensor) -> Tensor:
        """Return which points [..., 3] float64 in the world lie in it: [...] bool; NaN and infinity do not."""
        ...


class Box:
    """A box.

    :param T_world_box: [4, 4] pose of its centre, edges along its axes.
    :param size_m: [3] lengths of its edges in metres.
    :raises InvalidPoseError: the pose is none.
    :raises InvalidEditError: an edge is not positive, or longer than a world.
    """

    def __init__(self, T_world_box: Tensor, size_m: Tensor | list[float] | tuple[float, float, float]) -> None:
        self.T_world_box = as_pose(T_world_box, "box")
        self.size_m = _numbers(size_m, "size_m of a box", positive=True)

    @classmethod
    def between(cls, low: Tensor | list[float], high: Tensor | list[float]) -> Box:
        """Return the box between two corners [3] in the world, along its axes."""
        low, high = _numbers(low, "low corner of a box"), _numbers(high, "high corner of a box")
        T = torch.eye(4, dtype=torch.float64)
        T[:3, 3] = (low + high) / 2
        return cls(T, high - low)

    @property
    def bound(self) -> tuple[Tensor, float]:
        """See :class:`Region`."""
        return self.T_world_box[:3, 3], float(torch.linalg.vector_norm(self.size_m)) / 2

    def contains(self, points: Tensor) -> Tensor:
        """See :class:`Region`."""
        T = invert(self.T_world_box).to(points.device)
        own = points @ T[:3, :3].mT + T[:3, 3]
        return (own.abs() <= self.size_m.to(own) / 2).all(dim=-1)


class Sphere:
    """A sphere.

    :param centre: [3] in the world, metres.
    :param radius_m: its radius.
    :raises InvalidEditError: the radius is not positive, or the centre no point.
    """

    def __init__(self, centre: Tensor | list[float] | tuple[float, float, float], radius_m: float) -> None:
        self.centre = _numbers(centre, "centre of a sphere")
        self.radius_m = float(_numbers([radius_m] * 3, "radius_m of a sphere", positive=True)[0])

    @property
    def bound(self) -> tuple[Tensor, float]:
        """See :class:`Region`."""
        return self.centre, self.radius_m

    def contains(self, points: Tensor) -> Tensor:
        """See :class:`Region`."""
        return torch.linalg.vector_norm(points - self.centre.to(points.device), dim=-1) <= self.radius_m


@dataclass(frozen=True, eq=False)
class UnderMask:
    """What a camera sees under a mask, and what lies just behind it.

    How far that is away, the memory knows; pixels of which it knows no depth are taken for as far as those around.

    :param target: camera and pose.
    :param mask: [H, W] bool.
    :param thickness_m: how deep it goes: farther behind what is seen, everything stays.
    :raises InvalidEditError: the mask does not fit the camera or is empty, or the thickness is negative.
    """

    target: Target
    mask: Tensor
    thickness_m: float = 0.2

    def __post_init__(self) -> None:
        size = self.target.camera.size
        if self.mask.dtype != torch.bool or tuple(self.mask.shape) != size:
            raise InvalidEditError(
                f"mask must be bool {list(size)} like the camera, got {self.mask.dtype} {list(self.mask.shape)}"
            )
        if not bool(self.mask.any()):
            raise InvalidEditError("the mask is empty: set the pixels of what is to be removed")
        if not 0 <= self.thickness_m < FARTHEST_M:
            raise InvalidEditError(f"thickness_m must not be negative, got {self.thickness_m}")

    def at(self, depth: Tensor) -> Shell:
        """Return the part of space that is meant, where the camera sees these z-depths [H, W], NaN unknown.

        It is a pixel wider all around: elements of a memory at the rim of an object reach beyond its pixels.
        """
        depth = nearest_known(torch.where(self.mask.cpu(), depth.cpu(), torch.nan))
        mask = grown(self.mask.cpu())
        return Shell(self.target, mask, torch.where(mask, depth, torch.nan), self.thickness_m)


@dataclass(frozen=True, eq=False)
class Shell:
    """Surfaces that a camera sees under a mask, with a thickness; see :class:`UnderMask`.

    :param depth: [H, W] float32 z-depth of the surfaces.
    """

    target: Target
    mask: Tensor
    depth: Tensor
    thickness_m: float

    @property
    def _known(self) -> Tensor:
        return self.mask & torch.isfinite(self.depth)

    @cached_property
    def bound(self) -> tuple[Tensor, float]:
        """See :class:`Region`."""
        T, known = self.target.T_world_camera, self._known
        near = unproject(self.depth.double() * (1 - _NEARER), self.target.camera)[known]
        far = unproject(self.depth.double() + self.thickness_m, self.target.camera)[known]
        points = torch.cat([near, far, torch.zeros(1, 3, dtype=torch.float64)]) @ T[:3, :3].mT + T[:3, 3]
        if len(points) > 1:
            points = points[:-1]
        centre = (points.amin(dim=0) + points.amax(dim=0)) / 2
        # A pixel has a width.
        radius = float(torch.linalg.vector_norm(points - centre, dim=-1).max())
        return centre, radius * (1 + 2 / min(self.target.camera.size)) + 1e-3

    def contains(self, points: Tensor) -> Tensor:
        """See :class:`Region`."""
        camera = self.target.camera
        T = invert(self.target.T_world_camera).to(points.device)
        uv, z = project(points @ T[:3, :3].mT + T[:3, 3], camera)
        u, v = torch.floor(torch.nan_to_num(uv, nan=-1.0)).unbind(-1)
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        pixel = torch.where(inside, v * camera.width + u, 0).long()
        depth = torch.where(self._known, self.depth, torch.nan).to(points.device).flatten()[pixel].double()
        return inside & (z >= depth * (1 - _NEARER)) & (z <= depth + self.thickness_m)

    def is_seen_by(self, view: View) -> bool:
        """Return whether the view has this camera and pose, so that the mask is one of its pixels."""
        same = (view.T_world_camera - self.target.T_world_camera).abs() <= _SAME_POSE
        return view.camera == self.target.camera and bool(same.all())


def _numbers(values: object, what: str, *, positive: bool = False) -> Tensor:
    """Return three numbers as float64 [3], or say that they are none."""
    try:
        out = torch.as_tensor(values, dtype=torch.float64).clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidEditError(f"{what} must be three numbers, got {values!r}") from error
    if tuple(out.shape) != (3,) or not bool((out.abs() <= FARTHEST_M).all()):
        raise InvalidEditError(f"{what} must be three numbers of at most {FARTHEST_M:g} m, got {out.tolist()}")
    if positive and not bool((out > 0).all()):
        raise InvalidEditError(f"{what} must be positive, got {out.tolist()}")
    return out
