"""Pictures of a house: tiles of 16 x 16 pixels, each tested only against what its frustum can meet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.scenes.layout import WALL_HEIGHT, FloorPlan
from vmem_ros.scenes.materials import TextureAtlas
from vmem_ros.scenes.raycast import SolidTable, cast, resolve
from vmem_ros.scenes.surfaces import Faces

TILE = 16
# Tiles in one pass: on a CPU what fits its caches, on a GPU what fills it.
_TILES_AT_ONCE = {"cpu": 64, "cuda": 8192}
_SKY = (0.55, 0.68, 0.9)
_LONGEST_WAY = 3


@dataclass(frozen=True, eq=False)
class RenderedHouse:
    """Exact pictures of a house; one, or a batch with N in front of every shape.

    :param image: [H, W, 3] uint8 RGB.
    :param depth: [H, W] float32 z-depth in metres at the pixel centres; +Inf where nothing is hit.
    :param normals: [H, W, 3] float32 unit normals in the *optical frame*, facing the camera; NaN where nothing is hit.
    """

    image: Tensor
    depth: Tensor
    normals: Tensor


@dataclass(frozen=True, eq=False)
class Portals:
    """Which doors a look from one room into another passes.

    :param cells: [R, 4] x0, y0, x1, y1 of the rooms' cells.
    :param boxes: [D + 1, 6] x0, y0, z0, x1, y1, z1 of the door openings; the last is everything.
    :param source, target: [W] rooms at both ends of each way.
    :param doors: [W, L] doors on the way, padded with D.
    """

    cells: Tensor
    boxes: Tensor
    source: Tensor
    target: Tensor
    doors: Tensor

    @classmethod
    def of(cls, plan: FloorPlan, device: torch.device | str) -> Portals:
        """List all ways through at most three doors that enter no room twice."""
        boxes = []
        for door in plan.doors:
            (a, b), half = door.along, 0.3
            across = (door.at - half, door.at + half)
            x, y = ((a, b), across) if door.axis == "x" else (across, (a, b))
            boxes.append((x[0], y[0], 0.0, x[1], y[1], door.height))
        boxes.append((-1e3, -1e3, -1e3, 1e3, 1e3, 1e3))
        ways: list[tuple[int, int, list[int]]] = []
        open_ways: list[tuple[list[int], list[int]]] = [([r], []) for r in range(len(plan.rooms))]
        while open_ways:
            rooms, doors = open_ways.pop()
            ways.append((rooms[0], rooms[-1], doors))
            if len(doors) == _LONGEST_WAY:
                continue
            for index, door in enumerate(plan.doors):
                if rooms[-1] in door.rooms:
                    other = door.rooms[0] if door.rooms[1] == rooms[-1] else door.rooms[1]
                    if other not in rooms:
                        open_ways.append(([*rooms, other], [*doors, index]))
        padding = len(plan.doors)
        return cls(
            torch.tensor([r.cell for r in plan.rooms], device=device),
            torch.tensor(boxes, device=device),
            torch.tensor([w[0] for w in ways], device=device),
            torch.tensor([w[1] for w in ways], device=device),
            torch.tensor([w[2] + [padding] * (_LONGEST_WAY - len(w[2])) for w in ways], device=device),
        )

    def visible_rooms(self, planes: Tensor, origin: Tensor) -> Tensor:
        """Return [T, R + 1] bool: which rooms a frustum can see; the last column is false (the padding solid).

        :param planes: [T, 4, 3] inward normals through the origin [T, 3]. A camera outside every room sees all.
        """
        centre, half = (self.boxes[:, :3] + self.boxes[:, 3:]) / 2, (self.boxes[:, 3:] - self.boxes[:, :3]) / 2
        reach = planes @ centre.T - (planes * origin[:, None]).sum(-1, keepdim=True) + planes.abs() @ half.T
        passes = (reach >= 0).all(dim=1)
        passes[:, -1] = True
        x, y, z = origin[:, 0:1], origin[:, 1:2], origin[:, 2:3]
        c = self.cells.T
        inside = (x >= c[0]) & (x < c[2]) & (y >= c[1]) & (y < c[3]) & (z < WALL_HEIGHT) & (z > 0)
        open_way = passes[:, self.doors].all(dim=-1) & inside[:, self.source]
        rooms = torch.zeros(len(planes), len(self.cells) + 1, device=planes.device)
        rooms.index_add_(1, self.target, open_way.to(rooms.dtype))
        rooms[:, :-1] += ~inside.any(dim=1, keepdim=True)
        return rooms > 0


@dataclass(frozen=True, eq=False)
class RenderScene:
    """Everything of a house that rendering needs, on one device."""

    table: SolidTable
    faces: Faces
    atlas: TextureAtlas
    light: Tensor
    portals: Portals

    def shoot(
        self, camera: Camera, T_world_camera: Tensor, *, supersample: int, hidden: Tensor | None = None
    ) -> RenderedHouse:
        """Return pictures [N, ...] of poses [N, 4, 4]; ``hidden`` [P] bool takes solids away."""
        exact = self._shoot(camera, T_world_camera, hidden=hidden, shaded=supersample == 1)
        if supersample == 1:
            return exact
        fine = camera.resized(camera.width * supersample, camera.height * supersample)
        image = self._shoot(fine, T_world_camera, hidden=hidden, shaded=True).image
        n = len(T_world_camera)
        blocks = image.view(n, camera.height, supersample, camera.width, supersample, 3).to(torch.float32)
        return RenderedHouse(blocks.mean(dim=(2, 4)).round_().to(torch.uint8), exact.depth, exact.normals)

    def _shoot(self, camera: Camera, T_world_camera: Tensor, *, hidden: Tensor | None, shaded: bool) -> RenderedHouse:
        device = self.light.device
        directions, planes, grid = _tiles(camera, device)
        T = T_world_camera.to(device=device, dtype=torch.float32)
        views, tiles = len(T), len(directions)
        step = max(1, _TILES_AT_ONCE.get(device.type, 64))
        outputs = []
        for start in range(0, views * tiles, step):
            index = torch.arange(start, min(start + step, views * tiles), device=device)
            view, tile = index // tiles, index % tiles
            outputs.append(self._shoot_tiles(camera, T[view], directions[tile], planes[tile], hidden, shaded))
        image, depth, normals = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        image, normals = (x.transpose(1, 2) for x in (image, normals))

        def assemble(values: Tensor) -> Tensor:
            rest = values.shape[2:]
            out = values.reshape(views, *grid, TILE, TILE, *rest).transpose(2, 3)
            return out.reshape(views, grid[0] * TILE, grid[1] * TILE, *rest)[:, : camera.height, : camera.width]

        return RenderedHouse(*(assemble(x).contiguous() for x in (image, depth, normals)))

    def _shoot_tiles(
        self, camera: Camera, T: Tensor, directions: Tensor, planes: Tensor, hidden: Tensor | None, shaded: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return image [T, 3, R] uint8, depth [T, R] and normals [T, 3, R] of tiles."""
        R, origin = T[:, :3, :3], T[:, :3, 3]
        candidates = self._candidates(planes @ R.mT, origin, hidden)
        rays = R @ directions
        solid = cast(self.table, candidates, origin[..., None], rays)
        tiles, pixels = solid.shape
        flat = rays.transpose(0, 1).reshape(3, -1)
        start = origin.T.repeat_interleave(pixels, dim=1)
        hits = resolve(self.table, solid.flatten(), start, flat)
        missed = hits.solid == len(self.table)
        depth = hits.distance.masked_fill(missed, torch.inf)
        world = hits.world_normal
        normals = R.mT @ world.view(3, tiles, pixels).transpose(0, 1)
        normals = normals.masked_fill(missed.view(tiles, 1, pixels), torch.nan)
        if not shaded:
            return torch.empty(tiles, 3, pixels, dtype=torch.uint8, device=T.device), depth.view(tiles, pixels), normals

        cos = (world * flat).sum(dim=0).abs() * flat.square().sum(dim=0).rsqrt()
        # A pixel's picture is longer than wide by 1 / cos; the geometric mean neither blurs nor flickers much.
        footprint = hits.distance / camera.fx * cos.clamp(min=0.05).rsqrt()
        albedo = self.faces.albedo(hits, self.atlas, footprint)
        glow = self.faces.glow[hits.face]
        radiance = albedo * torch.where(glow > 0, glow, self.faces.light(hits, self.light))
        radiance[:, missed] = torch.tensor(_SKY, device=T.device)[:, None]
        return to_display(radiance).view(3, tiles, pixels).transpose(0, 1), depth.view(tiles, pixels), normals

    def _candidates(self, planes: Tensor, origin: Tensor, hidden: Tensor | None) -> Tensor:
        """Return the solids that each tile's frustum can meet, [T, P] bool: bounding boxes against four planes."""
        bounds = self.table.bounds[:, :-1]
        reach = planes @ bounds[:3] + planes.abs() @ bounds[3:]
        reach -= (planes * origin[:, None]).sum(-1, keepdim=True)
        meets = reach.amin(dim=1) >= 0
        meets &= self.portals.visible_rooms(planes, origin)[:, self.table.room[:-1]]
        if hidden is not None:
            meets &= ~hidden
        return meets


def to_display(radiance: Tensor) -> Tensor:
    """Return uint8 of linear radiance: a soft shoulder, then the 1 / 2.2 power."""
    return (1 - torch.exp(-1.35 * radiance)).pow_(1 / 2.2).mul_(255).round_().to(torch.uint8)


def _tiles(camera: Camera, device: torch.device) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return ray directions [T, 3, 256] (z = 1), inward frustum planes [T, 4, 3] in the optical frame, and the grid."""
    rows, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    K_inverse = torch.linalg.inv(camera.K)

    def rays(u: Tensor, v: Tensor) -> Tensor:
        return torch.stack([u, v, torch.ones_like(u)], dim=-1) @ K_inverse.mT

    v, u = torch.meshgrid(
        torch.arange(rows * TILE, dtype=torch.float64) + 0.5,
        torch.arange(columns * TILE, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    pixels = rays(u, v).view(rows, TILE, columns, TILE, 3).permute(0, 2, 4, 1, 3).reshape(-1, 3, TILE * TILE)
    v, u = torch.meshgrid(
        torch.arange(rows + 1, dtype=torch.float64) * TILE,
        torch.arange(columns + 1, dtype=torch.float64) * TILE,
        indexing="ij",
    )
    corner = rays(u, v)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    planes = torch.stack([torch.linalg.cross(x, y) for x, y in ((a, b), (b, c), (c, d), (d, a))], dim=2)
    planes = torch.nn.functional.normalize(planes.view(-1, 4, 3), dim=-1)
    return pixels.to(device, torch.float32), planes.to(device, torch.float32), (rows, columns)
