"""Light of a whole house, computed once: lamps, windows, a patch of sun and what the walls throw back.

Radiosity on the texels of :class:`~vmem_ros.scenes.surfaces.Faces`. Direct light is sampled with shadow rays; each
texel then sends cosine-weighted rays, whose hits stay the same for every bounce, so a bounce is one gather. Every
surface is matt: a point looks the same from everywhere, and returning to a pose shows the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vmem_ros.scenes.layout import WALL_HEIGHT, FloorPlan
from vmem_ros.scenes.materials import Material, TextureAtlas
from vmem_ros.scenes.raycast import Hits, SolidTable, cast, resolve
from vmem_ros.scenes.solids import Solid
from vmem_ros.scenes.surfaces import FACE_AXES, Faces

_LIGHT_SAMPLES = 4
_SUN_SAMPLES = 4
_GATHER_SAMPLES = 16
_BOUNCES = 4
_LIFT = 2e-3
_RAYS_AT_ONCE = {"cpu": 2048, "cuda": 1 << 18}


@dataclass(frozen=True)
class Sun:
    """Parallel light from outside: unit vector towards the sun and radiance over pi on a surface facing it."""

    towards: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class _Texels:
    """Centres of all light-map texels: position and normal [M, 3], face and room [M]; ``lit`` [M] can be seen."""

    position: Tensor
    normal: Tensor
    face: Tensor
    room: Tensor
    lit: Tensor


def bake(
    plan: FloorPlan,
    solids: Sequence[Solid],
    materials: Sequence[Material],
    table: SolidTable,
    faces: Faces,
    atlas: TextureAtlas,
    sun: Sun,
    mean_light: float,
    seed: int,
) -> Tensor:
    """Return irradiance over pi per texel, [3, faces.count] float32, whose mean is ``mean_light``."""
    rng = np.random.default_rng((seed, 5))
    device = table.columns.device
    texels = _lay_out(plan, table, faces)
    emission = torch.tensor([materials[s.material].emission for s in solids], device=device)
    albedo = atlas.mean[faces.texture[texels.face]]
    # Chair legs, frames and leaves throw no shadow that texels of this size could show.
    extents = table.bounds[3:, :-1].sort(dim=0).values
    bulky = (extents[2] > 0.1) & (extents[1] > torch.where(table.columns[8, :-1] < 0, 0.035, 0.12))
    direct = torch.zeros(faces.count, 3, device=device)
    gather = torch.full((faces.count, _GATHER_SAMPLES), faces.count, device=device)
    for room in range(len(plan.rooms)):
        here = (texels.lit & (texels.room == room)).nonzero().squeeze(1)
        inside = table.room[:-1] == room
        large = inside & bulky
        lights = inside & (emission > 0)
        for light in lights.nonzero().squeeze(1).tolist():
            colour = emission[light] * atlas.mean[faces.texture[light * 6]]
            direct[here] += _from_light(table, large & ~lights, texels, here, light, rng)[:, None] * colour
        direct[here] += _from_sun(table, inside, lights, texels, here, sun, rng)
        gather[here] = _gather(table, faces, large, texels, here, rng, beyond=faces.count + room)

    direct = _smoothed(direct, texels, faces)
    adjacent = torch.eye(len(plan.rooms), device=device) * 1e-6
    for door in plan.doors:
        adjacent[door.rooms[0], door.rooms[1]] = adjacent[door.rooms[1], door.rooms[0]] = 1.0
    adjacent /= adjacent.sum(dim=1, keepdim=True)
    light, indirect = direct, torch.zeros_like(direct)
    for _ in range(_BOUNCES):
        radiosity = albedo * light
        rooms = torch.stack([radiosity[texels.lit & (texels.room == r)].mean(dim=0) for r in range(len(plan.rooms))])
        indirect = torch.cat([radiosity, adjacent @ rooms])[gather].mean(dim=1) * texels.lit[:, None]
        light = direct + indirect
    light = direct + _smoothed(indirect, texels, faces)
    # Crevices that no sample reached are dim, not black.
    mean = torch.stack([light[texels.lit & (texels.room == r)].mean(dim=0) for r in range(len(plan.rooms))])
    reached = _smoothed(torch.ones_like(direct), texels, faces)[:, :1] > 0.5
    light = torch.where(reached, light, 0.3 * mean[texels.room])
    return (light * (mean_light / light[texels.lit].mean())).T.contiguous()


def _lay_out(plan: FloorPlan, table: SolidTable, faces: Faces) -> _Texels:
    device = table.columns.device
    face = faces.owner
    k = torch.arange(faces.count, device=device) - faces.start[face]
    columns = faces.texels[1][face]
    i, j = k // columns, k % columns
    half, shift = faces.half[:, face], faces.shift[:, face]
    a = ((i + 0.5) / faces.texels[0][face] * 2 - 1) * half[0] - shift[0]
    b = ((j + 0.5) / columns * 2 - 1) * half[1] - shift[1]
    solid, axis, sign = face // 6, (face % 6) // 2, (face % 2) * 2.0 - 1
    shape = table.columns[:, solid]
    local = torch.zeros(3, faces.count, device=device)
    normal = torch.zeros(3, faces.count, device=device)
    for n, (u, v) in enumerate(FACE_AXES):
        local[u] = torch.where(axis == n, a, local[u])
        local[v] = torch.where(axis == n, b, local[v])
        local[n] = torch.where(axis == n, sign * (shape[3 + n] + _LIFT), local[n])
        normal[n] = torch.where(axis == n, sign, normal[n])
    c, s = shape[6], shape[7]

    def to_world(p: Tensor) -> Tensor:
        return torch.stack([p[0] * c - p[1] * s, p[0] * s + p[1] * c, p[2]], dim=1)

    position = to_world(local) + shape[:3].T
    room = table.room[solid]
    cells = torch.tensor([r.cell for r in plan.rooms] + [(0.0, 0.0, 0.0, 0.0)], device=device)[room]
    x, y, z = position.T
    inside = (x > cells[:, 0]) & (x < cells[:, 2]) & (y > cells[:, 1]) & (y < cells[:, 3])
    lit = inside & (z > 0) & (z < WALL_HEIGHT)
    for r in range(len(plan.rooms)):
        here = (lit & (room == r)).nonzero().squeeze(1)
        near = (table.room == r).nonzero().squeeze(1)
        lit[here] = ~_buried(table.columns[:, near], position[here], solid[here], near)
    return _Texels(position, to_world(normal), face, room, lit)


def _buried(columns: Tensor, points: Tensor, own: Tensor, solids: Tensor) -> Tensor:
    """Return whether points [N, 3] lie inside a box other than their own (curved solids hide too little to matter)."""
    out = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    c, s = columns[6], columns[7]
    for start in range(0, len(points), 4096):
        p = points[start : start + 4096, :, None] - columns[:3]
        x, y = p[:, 0] * c + p[:, 1] * s, p[:, 1] * c - p[:, 0] * s
        inside = (x.abs() < columns[3]) & (y.abs() < columns[4]) & (p[:, 2].abs() < columns[5]) & (columns[8] < 0)
        out[start : start + 4096] = (inside & (solids != own[start : start + 4096, None])).any(dim=1)
    return out


def _trace(table: SolidTable, candidates: Tensor, origin: Tensor, direction: Tensor) -> Tensor:
    """Return the first of the candidates [P] (bool) that each of N rays [N, 3] hits, [N]."""
    o, d = origin.T.contiguous(), direction.T.contiguous()
    step = _RAYS_AT_ONCE.get(origin.device.type, 2048)
    hits = [
        cast(table, candidates[None], o[None, :, i : i + step], d[None, :, i : i + step])[0]
        for i in range(0, len(origin), step)
    ]
    return torch.cat(hits) if hits else torch.zeros(0, dtype=torch.long, device=origin.device)


def _uniform(rng: np.random.Generator, *shape: int, device: torch.device) -> Tensor:
    return torch.from_numpy(rng.random(shape, dtype=np.float32)).to(device)


def _from_light(
    table: SolidTable, dark: Tensor, texels: _Texels, here: Tensor, light: int, rng: np.random.Generator
) -> Tensor:
    """Return the share of one light's radiance that reaches each texel, [len(here)]: cos cos' area / (pi d^2).

    Flat lights (panes) shine from the side that faces the room; all others shine like a ball of their size.
    """
    device = here.device
    shape = table.columns[:, light]
    half = shape[3:6]
    thin = int(half.argmin())
    jitter = _uniform(rng, len(here), _LIGHT_SAMPLES, 3, device=device) * 2 - 1
    # Strata along the longest side; the other two coordinates are random.
    strata = (torch.arange(_LIGHT_SAMPLES, device=device) * 2 + 1) / _LIGHT_SAMPLES - 1
    jitter[..., int(half.argmax())] = strata + jitter[..., int(half.argmax())] / _LIGHT_SAMPLES
    is_pane = bool(half[thin] < 0.1 * half.max())
    c, s = shape[6], shape[7]
    if not is_pane:
        jitter = torch.nn.functional.normalize(jitter, dim=-1) * 0.9
    offset = jitter * half
    offset = torch.stack(
        [offset[..., 0] * c - offset[..., 1] * s, offset[..., 0] * s + offset[..., 1] * c, offset[..., 2]], dim=-1
    )
    towards = shape[:3] + offset - texels.position[here][:, None]
    squared = towards.square().sum(dim=-1).clamp(min=0.01)
    towards = towards / squared.sqrt()[..., None]
    cos = (towards * texels.normal[here][:, None]).sum(dim=-1)
    if is_pane:
        axis = torch.zeros(3, device=device)
        axis[thin] = 1.0
        area = 4 * half.prod() / half[thin]
        share = cos * (towards @ axis).abs() * area / (math.pi * squared)
    else:
        share = cos * half.square().mean() / squared
    rays = (share.flatten() > 1e-5).nonzero().squeeze(1)
    origin = texels.position[here].repeat_interleave(_LIGHT_SAMPLES, dim=0)[rays]
    # The ray ends at the light: distances are compared by casting a ray as long as the way to the light.
    way = (towards * squared.sqrt()[..., None]).reshape(-1, 3)[rays]
    blocker = _trace(table, dark, origin, way)
    distance = resolve(table, blocker, origin.T, way.T).distance
    clear = (distance > 1.0).to(share.dtype)
    out = torch.zeros(len(here) * _LIGHT_SAMPLES, device=device)
    out[rays] = share.flatten()[rays] * clear
    return out.view(-1, _LIGHT_SAMPLES).mean(dim=1)


def _from_sun(
    table: SolidTable,
    inside: Tensor,
    lights: Tensor,
    texels: _Texels,
    here: Tensor,
    sun: Sun,
    rng: np.random.Generator,
) -> Tensor:
    """Return sunlight [len(here), 3]: rays towards the sun that leave the room through a pane."""
    device = here.device
    towards = torch.tensor(sun.towards, device=device)
    cos = texels.normal[here] @ towards
    facing = (cos > 0).nonzero().squeeze(1)
    spread = (_uniform(rng, len(facing), _SUN_SAMPLES, 3, device=device) - 0.5) * 0.09
    origin = texels.position[here][facing][:, None] + spread * (1 - texels.normal[here][facing].abs())[:, None]
    solid = _trace(table, inside, origin.view(-1, 3), towards.expand(len(facing) * _SUN_SAMPLES, 3))
    flat = torch.cat([lights & (table.columns[3:6, :-1].amin(dim=0) < 0.02), lights.new_zeros(1)])
    is_pane = flat[solid]
    out = torch.zeros(len(here), device=device)
    out[facing] = is_pane.view(-1, _SUN_SAMPLES).float().mean(dim=1) * cos[facing]
    return out[:, None] * torch.tensor(sun.colour, device=device)


def _gather(
    table: SolidTable,
    faces: Faces,
    inside: Tensor,
    texels: _Texels,
    here: Tensor,
    rng: np.random.Generator,
    *,
    beyond: int,
) -> Tensor:
    """Return the texels that cosine-weighted rays from each texel hit, [len(here), samples].

    Rays that leave through a door get the index ``beyond``.
    """
    device = here.device
    n, k = len(here), _GATHER_SAMPLES
    turn = _uniform(rng, n, 1, 2, device=device)
    index = torch.arange(k, device=device)
    # A golden-ratio lattice, shifted per texel.
    u, v = ((index + 0.5) / k + turn[..., 0]) % 1, (index * 0.618034 + turn[..., 1]) % 1
    radius, angle = u.sqrt(), 2 * math.pi * v
    normal = texels.normal[here]
    helper = torch.where(
        normal[:, 2:].abs() > 0.9, torch.tensor([1.0, 0, 0], device=device), torch.tensor([0, 0, 1.0], device=device)
    )
    tangent = torch.nn.functional.normalize(torch.linalg.cross(helper, normal), dim=-1)
    bitangent = torch.linalg.cross(normal, tangent)
    direction = (
        (radius * angle.cos())[..., None] * tangent[:, None]
        + (radius * angle.sin())[..., None] * bitangent[:, None]
        + (1 - u).sqrt()[..., None] * normal[:, None]
    ).view(-1, 3)
    origin = texels.position[here].repeat_interleave(k, dim=0)
    solid = _trace(table, inside, origin, direction)
    hits: Hits = resolve(table, solid, origin.T, direction.T)
    return torch.where(solid < len(table), faces.texel(hits), beyond).view(n, k)


def _smoothed(values: Tensor, texels: _Texels, faces: Faces) -> Tensor:
    """Return values [M, 3] averaged over the lit neighbours on each face; buried texels take their neighbours' mean."""
    rows, columns = faces.texels[0][texels.face], faces.texels[1][texels.face]
    k = torch.arange(faces.count, device=values.device) - faces.start[texels.face]
    i, j = k // columns, k % columns
    base = faces.start[texels.face]
    total = torch.cat([values * texels.lit[:, None], texels.lit[:, None].to(values.dtype)], dim=1)
    for _ in range(2):
        up, down = base + (i - 1).clamp(min=0) * columns + j, base + torch.minimum(i + 1, rows - 1) * columns + j
        total = 0.5 * total + 0.25 * (total[up] + total[down])
        left, right = base + i * columns + (j - 1).clamp(min=0), base + i * columns + torch.minimum(j + 1, columns - 1)
        total = 0.5 * total + 0.25 * (total[left] + total[right])
    return total[:, :3] / total[:, 3:].clamp(min=1e-6)
