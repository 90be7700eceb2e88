"""Rays against solids: all rays of a group against all candidates of that group at once.

A group is a bundle of rays with a common list of candidates: a 16 x 16 pixel tile of a view, or rays that leave the
surfaces of one room. Rays are the last axis, so that every operation runs over contiguous memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.scenes.solids import Solid

#: Nearer surfaces are not seen, so that a ray that starts on a surface leaves it.
NEAR = 1e-4
#: The distance of a ray that hits nothing.
MISS = 1e9
# Neighbouring solids overlap by this much for a ray, so that it cannot slip through the joint between them.
_JOINT = 1e-5
# The place of a candidate in its list is carried in the low bits of the packed distance, whose mantissa keeps 15
# bits: of two surfaces closer together than 1e-4 of their distance, either may be taken.
_MAX_CANDIDATES = 256

Interval = Callable[[Tensor, list[Tensor], list[Tensor]], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class SolidTable:
    """Solids as a structure of arrays; the last column is a solid that no ray hits, used as padding.

    :param columns: [9, P + 1] float32: centre x, y, z, half extents x, y, z, cosine and sine of the yaw, and the bend:
        -1 for boxes, 0 for cylinders, 1 for ellipsoids (the weight of z^2 in the quadric).
    :param room: [P + 1] int64.
    """

    columns: Tensor
    room: Tensor

    @classmethod
    def of(cls, solids: Sequence[Solid], device: torch.device | str) -> SolidTable:
        """Return the table of the solids in their order."""
        bends = {"box": -1.0, "cylinder": 0.0, "ellipsoid": 1.0}
        rows = [(*s.centre, *s.half, math.cos(s.yaw), math.sin(s.yaw), bends[s.shape]) for s in solids]
        rows.append((0.0, 0.0, -1e6, 1e-3, 1e-3, 1e-3, 1.0, 0.0, -1.0))
        room = torch.tensor([s.room for s in solids] + [-1])
        return cls(torch.tensor(rows, dtype=torch.float64).T.to(torch.float32).contiguous().to(device), room.to(device))

    def __len__(self) -> int:
        return self.columns.shape[1] - 1

    @property
    def bend(self) -> Tensor:
        """[P + 1]: -1 box, 0 cylinder, 1 ellipsoid."""
        return self.columns[8]


@dataclass(frozen=True, eq=False)
class Hits:
    """Where N rays met their solids, in the frames of the solids.

    :param distance: [N] in units of the direction; :data:`MISS` if there is no solid.
    :param solid: [N] int64.
    :param point: [3, N] metres from the solid's centre along its own axes.
    :param normal: [3, N] unit outward normal along the solid's own axes.
    :param face: [N] int64 = 6 * solid + 2 * axis + (1 on the positive side), the face of the bounding box.
    :param shape: [9, N] the solids' columns of the table.
    """

    distance: Tensor
    solid: Tensor
    point: Tensor
    normal: Tensor
    face: Tensor
    shape: Tensor

    @property
    def world_normal(self) -> Tensor:
        """[3, N] unit outward normals along the world's axes."""
        c, s = self.shape[6], self.shape[7]
        x, y, z = self.normal
        return torch.stack([x * c - y * s, x * s + y * c, z])


def cast(table: SolidTable, candidates: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return the first solid that every ray hits: [G, R] int64, ``len(table)`` for none.

    :param candidates: [G, K] int64 columns of the table, padded with ``len(table)``.
    :param origin: [G, 3, 1] or [G, 3, R] float32, world metres.
    :param direction: [G, 3, R] float32, any length but zero.
    Solids that contain the origin are not seen.
    """
    is_box = table.bend[candidates] < 0
    boxes, curved = _compact(candidates, is_box, len(table)), _compact(candidates, ~is_box, len(table))
    distance, solid = _nearest(table, boxes, origin, direction, _box_interval)
    if curved.shape[1] > 0:
        # Few groups see curved solids at all.
        some = (curved[:, 0] < len(table)).nonzero().squeeze(1)
        d, s = _nearest(table, curved[some], origin[some], direction[some], _quadric_interval)
        solid[some] = torch.where(d < distance[some], s, solid[some])
    return solid


def resolve(table: SolidTable, solid: Tensor, origin: Tensor, direction: Tensor) -> Hits:
    """Return exactly where rays meet the solids that :func:`cast` found.

    :param solid: [N]; ``origin`` [3, N] or [3, 1] and ``direction`` [3, N] float32.
    """
    shape = table.columns.index_select(1, solid)
    o, d = _local(shape, list(origin), list(direction))
    inverse = [1 / x for x in d]
    entries = [-o[i] * inverse[i] - inverse[i].abs() * shape[3 + i] for i in range(3)]
    distance = torch.maximum(torch.maximum(entries[0], entries[1]), entries[2])
    axis = torch.where(entries[0] == distance, 0, torch.where(entries[1] == distance, 1, 2))
    normal = torch.stack([-torch.sign(d[i]) * (axis == i) for i in range(3)])
    point = torch.stack([torch.addcmul(o[i], distance, d[i]) for i in range(3)])

    curved = (shape[8] >= 0).nonzero().squeeze(1)
    if len(curved) > 0:
        columns = shape[:, curved]
        oc, dc = [x[curved] if len(x) > 1 else x for x in o], [x[curved] for x in d]
        t, _ = _quadric_interval(columns, oc, dc)
        p = torch.stack([torch.addcmul(oc[i], t, dc[i]) for i in range(3)])
        on_cap = (columns[8] < 0.5) & (p[2].abs() >= columns[5] * (1 - 1e-4))
        weight = torch.stack([~on_cap * 1.0, ~on_cap * 1.0, torch.where(on_cap, 1.0, columns[8])])
        n = torch.nn.functional.normalize(weight * p / columns[3:6] ** 2, dim=0)
        distance[curved], point[:, curved], normal[:, curved] = t, p, n
        axis[curved] = n.abs().argmax(dim=0)

    sign = normal.gather(0, axis[None])[0] > 0
    distance = torch.where(solid < len(table), distance, MISS)
    return Hits(distance, solid, point, normal, solid * 6 + axis * 2 + sign, shape)


def _compact(candidates: Tensor, keep: Tensor, padding: int) -> Tensor:
    """Return the kept candidates of each group, moved to the front and padded: [G, K'] with K' the longest list."""
    keep = keep & (candidates < padding)
    longest = int(keep.sum(dim=1).max()) if keep.numel() else 0
    order = torch.argsort(keep.to(torch.uint8), dim=1, descending=True, stable=True)[:, :longest]
    return torch.where(keep.gather(1, order), candidates.gather(1, order), padding)


def _nearest(
    table: SolidTable, candidates: Tensor, origin: Tensor, direction: Tensor, interval: Interval
) -> tuple[Tensor, Tensor]:
    """Return (distance to 15 bits, solid) of the nearest candidate, both [G, R]."""
    shape = (len(candidates), direction.shape[2])
    best, solid = direction.new_full(shape, MISS / 2), candidates.new_full(shape, len(table))
    o, d = [origin[:, None, i] for i in range(3)], [direction[:, None, i] for i in range(3)]
    for some in candidates.split(_MAX_CANDIDATES, dim=1) if candidates.shape[1] else ():
        columns = table.columns[:, some, None]
        near = _ahead(*interval(columns, *_local(columns, o, d)))
        # Positive floats sort like their bits: one integer minimum finds distance and candidate together.
        packed = near.view(torch.int32)
        packed.bitwise_and_(-_MAX_CANDIDATES)
        packed.bitwise_or_(torch.arange(some.shape[1], dtype=torch.int32, device=packed.device)[:, None])
        first = packed.amin(dim=1)
        distance = (first & -_MAX_CANDIDATES).view(torch.float32)
        nearer = distance < best
        solid = torch.where(nearer, some.gather(1, (first & (_MAX_CANDIDATES - 1)).long()), solid)
        best = torch.where(nearer, distance, best)
    return best, solid


def _local(columns: Tensor, origin: list[Tensor], direction: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return x, y, z of origins and directions in the frames of solids."""
    c, s = columns[6], columns[7]
    (dx, dy, dz), (ox, oy, oz) = direction, [origin[i] - columns[i] for i in range(3)]
    # A ray parallel to a face would divide zero by zero; no component that matters is as small as this.
    d = [torch.addcmul(dx * c, dy, s).add_(1e-12), torch.addcmul(dy * c, dx, s, value=-1).add_(1e-12), dz + 1e-12]
    return [torch.addcmul(ox * c, oy, s), torch.addcmul(oy * c, ox, s, value=-1), oz], d


def _ahead(near: Tensor, far: Tensor) -> Tensor:
    """Return ``near`` where the interval is one and lies ahead, otherwise :data:`MISS`; overwrites its arguments.

    Arithmetic instead of comparisons: masks cost several times as much as the whole test.
    """
    empty = torch.sub(near, far, out=far).sub_(_JOINT).clamp_(min=0.0)
    behind = (NEAR - near).clamp_(min=0.0)
    return near.add_(empty.add_(behind, alpha=1e3), alpha=1e18).clamp_(max=MISS)


def _box_interval(columns: Tensor, o: list[Tensor], d: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return entry and exit distances of boxes by the slab test (Kay and Kajiya, 1986)."""
    slabs = []
    for axis in range(3):
        inverse = d[axis].reciprocal()
        middle, reach = o[axis] * inverse, inverse.abs() * columns[3 + axis]
        slabs.append((torch.add(middle, reach).neg_(), reach.sub_(middle)))
    (near, far), rest = slabs[0], slabs[1:]
    for low, high in rest:
        near, far = torch.maximum(near, low), torch.minimum(far, high)
    return near, far


def _quadric_interval(columns: Tensor, o: list[Tensor], d: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the same for ellipsoids and upright elliptic cylinders: the quadric's interval cut with the slab in z."""
    half, bend = columns[3:6], columns[8].clamp(min=0.0)
    o, d = [o[i] / half[i] for i in range(3)], [d[i] / half[i] for i in range(3)]
    a = d[0] * d[0] + d[1] * d[1] + bend * d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + bend * o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + bend * o[2] * o[2] - 1
    discriminant = b * b - a * c
    root = discriminant.clamp(min=0.0).sqrt()
    inverse = 1 / d[2]
    middle, reach = o[2] * inverse, inverse.abs()
    near = torch.maximum((-b - root) / a, -middle - reach)
    far = torch.minimum((root - b) / a, reach - middle)
    return torch.where(discriminant < 0, 2 * MISS, near), far
