"""What a house is built of: boxes, upright cylinders and ellipsoids, turned about the vertical only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Shape = Literal["box", "cylinder", "ellipsoid"]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Solid:
    """One convex primitive.

    :param shape: a box, an upright elliptic cylinder or an axis-aligned ellipsoid that fills the same bounding box.
    :param centre: metres; in the world frame once placed.
    :param half: half extents along its own axes, metres.
    :param material: index into the house's :class:`~vmem_ros.scenes.materials.Materials`.
    :param yaw: rotation about +z in radians.
    :param room: index of the room it stands in.
    :param grounded: its texture runs on in world coordinates, so that neighbouring pieces of a wall match.
    :param sheet: centre and half extents of the box it was cut from, if any: faces in one plane share their light.
    """

    shape: Shape
    centre: Vector
    half: Vector
    material: int
    yaw: float = 0.0
    room: int = -1
    grounded: bool = False
    sheet: tuple[Vector, Vector] | None = None

    @property
    def low(self) -> float:
        """Height of its lowest point in metres."""
        return self.centre[2] - self.half[2]

    @property
    def high(self) -> float:
        """Height of its highest point in metres."""
        return self.centre[2] + self.half[2]


def span(
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    material: int,
    *,
    room: int = -1,
    shape: Shape = "box",
    grounded: bool = False,
) -> Solid:
    """Return an axis-aligned solid from its ranges."""
    pairs = (x, y, z)
    centre = tuple((a + b) / 2 for a, b in pairs)
    half = tuple(abs(b - a) / 2 for a, b in pairs)
    return Solid(shape, centre, half, material, room=room, grounded=grounded)  # type: ignore[arg-type]


def placed(solids: Iterable[Solid], x: float, y: float, yaw: float, *, z: float = 0.0, room: int = -1) -> list[Solid]:
    """Return the solids of a piece of furniture turned by ``yaw`` about its origin and moved to (x, y, z)."""
    c, s = math.cos(yaw), math.sin(yaw)
    out = []
    for solid in solids:
        px, py, pz = solid.centre
        centre = (x + c * px - s * py, y + s * px + c * py, z + pz)
        out.append(replace(solid, centre=centre, yaw=solid.yaw + yaw, room=room))
    return out


def footprint(solids: Sequence[Solid]) -> tuple[float, float, float, float]:
    """Return the bounding rectangle x0, y0, x1, y1 of solids in plan."""
    boxes = []
    for solid in solids:
        c, s = abs(math.cos(solid.yaw)), abs(math.sin(solid.yaw))
        hx, hy = c * solid.half[0] + s * solid.half[1], s * solid.half[0] + c * solid.half[1]
        boxes.append((solid.centre[0] - hx, solid.centre[1] - hy, solid.centre[0] + hx, solid.centre[1] + hy))
    return (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )
