"""Rays against solids: all rays of a group against all candidates of that group at once.

A group is a bundle of rays with a common list of candidates: a 16 x 16 pixel tile of a view, or rays that leave the
surfaces of one room. Rays are the last axis, so that every operation runs over contiguous memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

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
# Ray-solid tests in one pass: on a CPU what its caches hold, on a GPU what fills it.
_TESTS_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 25}


def in_table_order(solids: Sequence[Solid]) -> list[Solid]:
    """Return solids in the order that tables need: aligned boxes, turned boxes, curved solids."""
    return sorted(solids, key=lambda s: 2 if s.shape != "box" else int(not _is_aligned(s)))


@dataclass(frozen=True, eq=False)
class SolidTable:
    """Solids as a structure of arrays; the last column is a solid that no ray hits, used as padding.

    :param columns: [9, P + 1] float32: centre x, y, z, half extents x, y, z, cosine and sine of the yaw, and the bend:
        -1 for boxes, 0 for cylinders, 1 for ellipsoids (the weight of z^2 in the quadric).
    :param bounds: [6, P + 1] float32: centre and half extents of the bounding box along the world's axes.
    :param room: [P + 1] int64.
    :param aligned: how many of the first solids are boxes along the world's axes.
    :param boxes: how many of the first solids are boxes; the rest is curved.
    """

    columns: Tensor
    bounds: Tensor
    room: Tensor
    aligned: int
    boxes: int

    @classmethod
    def of(cls, solids: Sequence[Solid], device: torch.device | str) -> SolidTable:
        """Return the table of solids that are :func:`in_table_order`."""
        bends = {"box": -1.0, "cylinder": 0.0, "ellipsoid": 1.0}
        rows = [(*s.centre, *s.half, math.cos(s.yaw), math.sin(s.yaw), bends[s.shape]) for s in solids]
        rows.append((0.0, 0.0, -1e6, 1e-3, 1e-3, 1e-3, 1.0, 0.0, -1.0))
        table = torch.tensor(rows, dtype=torch.float64).T
        c, s = table[6].abs(), table[7].abs()
        hx, hy = c * table[3] + s * table[4], s * table[3] + c * table[4]
        bounds = torch.stack([*table[:3], hx, hy, table[5]])
        return cls(
            table.to(torch.float32).contiguous().to(device),
            bounds.to(torch.float32).contiguous().to(device),
            torch.tensor([s.room for s in solids] + [-1], device=device),
            sum(s.shape == "box" and _is_aligned(s) for s in solids),
            sum(s.shape == "box" for s in solids),
        )

    def __len__(self) -> int:
        return self.columns.shape[1] - 1


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

    @cached_property
    def on_face(self) -> tuple[Tensor, Tensor]:
        """Coordinates [N] along the face, metres from its middle: (y, z), (x, z) or (x, y)."""
        axis = (self.face % 6) // 2
        x, y, z = self.point
        return torch.where(axis == 0, y, x), torch.where(axis == 2, y, z)

    @property
    def world_normal(self) -> Tensor:
        """[3, N] unit outward normals along the world's axes."""
        c, s = self.shape[6], self.shape[7]
        x, y, z = self.normal
        return torch.stack([x * c - y * s, x * s + y * c, z])


def cast(table: SolidTable, meets: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return the first solid that every ray hits: [G, R] int64, ``len(table)`` for none.

    :param meets: [G, P] bool: the candidates of each group.
    :param origin: [G, 3, 1] or [G, 3, R] float32, world metres.
    :param direction: [G, 3, R] float32, any length but zero.
    Solids that contain the origin are not seen.
    """
    groups, _, rays = direction.shape
    best = direction.new_full((groups, rays), MISS / 2)
    solid = torch.full((groups, rays), len(table), device=direction.device)
    slices = ((0, table.aligned, _aligned), (table.aligned, table.boxes, _turned), (table.boxes, len(table), _curved))
    for first, last, entries in slices:
        for group, candidates in _candidate_lists(meets[:, first:last], first, len(table), rays):
            distance, found = _nearest(entries(table, candidates, origin[group], direction[group]), candidates)
            nearer = distance < best[group]
            solid[group] = torch.where(nearer, found, solid[group])
            best[group] = torch.where(nearer, distance, best[group])
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


def _is_aligned(solid: Solid) -> bool:
    quarter_turns = solid.yaw / (math.pi / 2)
    return abs(quarter_turns - round(quarter_turns)) < 1e-6


def _candidate_lists(meets: Tensor, first: int, padding: int, rays: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield groups [G'] and their candidates [G', K], padded to the longest list among them.

    Groups with lists of like length go together, as many as fit the caches; very long lists come in several parts.
    """
    counts, order = meets.sum(dim=1).sort(descending=True)
    lengths = counts.tolist()
    some = sum(n > 0 for n in lengths)
    if some == 0:
        return
    order = order[:some]
    group, solid = meets[order].nonzero(as_tuple=True)
    place = torch.arange(len(group), device=meets.device) - (counts.cumsum(0) - counts)[group]
    lists = torch.full((some, lengths[0]), padding, device=meets.device)
    lists[group, place] = solid + first
    budget = _TESTS_AT_ONCE.get(meets.device.type, 1 << 17)
    start = 0
    while start < some:
        end = min(some, start + max(1, budget // (lengths[start] * rays)))
        for part in lists[start:end, : lengths[start]].split(_MAX_CANDIDATES, dim=1):
            yield order[start:end], part
        start = end


def _nearest(near: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return (distance to 15 bits, solid) of the nearest candidate [G, R]; overwrites ``near`` [G, K, R].

    Positive floats sort like their bits: one integer minimum finds distance and candidate together.
    """
    packed = near.view(torch.int32)
    packed.bitwise_and_(-_MAX_CANDIDATES)
    packed.bitwise_or_(torch.arange(near.shape[1], dtype=torch.int32, device=near.device)[:, None])
    first = packed.amin(dim=1)
    solid = candidates.gather(1, (first & (_MAX_CANDIDATES - 1)).long())
    return (first & -_MAX_CANDIDATES).view(torch.float32), solid


def _aligned(table: SolidTable, ids: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return entry distances [G, K, R] of boxes along the axes by the slab test (Kay and Kajiya, 1986).

    Entry and exit of a slab, (centre - origin -+ half) / direction, are linear in 1 / direction, origin / direction and
    1 / |direction|: small matrix products over all boxes and rays, several times faster than elementwise arithmetic.
    """
    bounds = table.bounds[:, ids]
    inverse = (direction + 1e-12).reciprocal()
    offset, reach = inverse * origin, inverse.abs()
    ones = torch.ones_like(bounds[0])
    slabs: list[tuple[Tensor, ...]] = []
    for axis in range(3):
        rays = torch.stack([inverse[:, axis], offset[:, axis], reach[:, axis]], dim=1)
        centre, half = bounds[axis], bounds[3 + axis] + _JOINT
        sides = (torch.stack([centre, -ones, sign * half], dim=2) for sign in (-1, 1))
        slabs.append(tuple(torch.bmm(side, rays) for side in sides))
    return _ahead(*_common(slabs))


def _turned(table: SolidTable, ids: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return the same for boxes turned about the vertical."""
    columns = table.columns[:, ids, None]
    o, d = _local(columns, [origin[:, None, i] for i in range(3)], [direction[:, None, i] for i in range(3)])
    return _ahead(*_slabs(columns, o, d))


def _curved(table: SolidTable, ids: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return the same for cylinders and ellipsoids."""
    columns = table.columns[:, ids, None]
    o, d = _local(columns, [origin[:, None, i] for i in range(3)], [direction[:, None, i] for i in range(3)])
    return _ahead(*_quadric_interval(columns, o, d))


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
    wrong = torch.sub(near, far, out=far)
    torch.maximum(wrong, NEAR - near, out=wrong)
    return near.add_(wrong.clamp_(min=0.0), alpha=1e18).clamp_(max=MISS)


def _slabs(columns: Tensor, o: list[Tensor], d: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return entry and exit distances of boxes in their own frames."""
    slabs: list[tuple[Tensor, ...]] = []
    for axis in range(3):
        inverse = d[axis].reciprocal()
        middle, reach = o[axis] * inverse, inverse.abs() * columns[3 + axis]
        slabs.append((torch.add(middle, reach).neg_(), reach.sub_(middle)))
    return _common(slabs)


def _common(slabs: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Return the intersection of three intervals; overwrites the first."""
    (near, far), *rest = slabs
    for low, high in rest:
        torch.maximum(near, low, out=near)
        torch.minimum(far, high, out=far)
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
