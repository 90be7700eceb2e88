"""Disks into a z-buffer: which surfel every pixel sees, and how far away. Deterministic on every device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, transform
from vmem_ros.memory import zbuffer
from vmem_ros.memory.growable import BLOCK
from vmem_ros.memory.occlusion import NEAR, OcclusionPyramid
from vmem_ros.memory.surfels import Blocks, SurfelCloud

# Blocks drawn before the first look at what they hide.
_FIRST_BLOCKS = 64
# Blocks whose surfels are tested at once.
_BLOCKS_AT_ONCE = 32
# Sides of the windows in which disks are tested, in pixels. A disk wider than the last is cut off there.
_SIDES = (2, 3, 4, 6, 10, 18, 36, 80)
# Fragments tested at once: their temporaries stay in the cache of a CPU core.
_FRAGMENTS = {"cpu": 1 << 17, "cuda": 1 << 24}


@dataclass(frozen=True, eq=False)
class Splat:
    """What a camera sees of the surfels.

    :param ids: [H, W] int64 of the front surfel, or -1.
    :param depth: [H, W] float32 z-depth of the point where the pixel's ray meets the disk, NaN where there is none.
    """

    ids: Tensor
    depth: Tensor


def splat(surfels: SurfelCloud, blocks: Blocks, camera: Camera, T_surfels_camera: Tensor, *, scale: float) -> Splat:
    """Render disks with occlusion; disks that face away are not drawn.

    :param blocks: the same surfels in blocks; only blocks in view are touched.
    :param T_surfels_camera: [4, 4] camera pose in the surfels' frame.
    :param scale: drawn radius over surfel radius. Surfels are spaced by twice their radius, so 1.5 closes the gaps.
    """
    device = surfels.position.device
    buffer = zbuffer.empty_buffer(camera.height * camera.width, device)
    T_camera_surfels = invert(T_surfels_camera)
    for part in _front_to_back(blocks, camera, T_camera_surfels, scale, buffer):
        _draw(_visible(surfels, blocks, part, camera, T_camera_surfels, scale), camera, buffer)
    ids, depth = zbuffer.ids_of(buffer), zbuffer.depth_of(buffer, empty=torch.nan)
    return Splat(ids.view(camera.size), depth.view(camera.size))


@dataclass(frozen=True, eq=False)
class _Disks:
    """Disks in the camera frame, on their way to the buffer."""

    tag: Tensor  # [n] what the z-buffer keeps of the surfel
    centre: Tensor  # [n, 3]
    normal: Tensor  # [n, 3]
    reach: Tensor  # [n] drawn radius in metres
    column: Tensor  # [n] first pixel column and row that the disk can cover
    row: Tensor
    columns: Tensor  # [n] number of columns and rows, as an index into _SIDES
    rows: Tensor

    def __getitem__(self, index: Tensor) -> _Disks:
        return _Disks(*(column.index_select(0, index) for column in vars(self).values()))


def _front_to_back(
    blocks: Blocks, camera: Camera, T_camera_surfels: Tensor, scale: float, buffer: Tensor
) -> Iterator[Tensor]:
    """Yield the numbers of the blocks that can show in the picture, nearest first, in parts that grow.

    What lies behind the surfaces drawn so far is left out before each part, so rooms behind walls cost nothing.
    """
    centre = transform(T_camera_surfels, blocks.centre)
    # The sphere must hold the disks as they are drawn.
    radius = blocks.radius + _drawn_radius(blocks.largest, centre[:, 2] + blocks.radius, camera, scale)
    inside = _in_view(centre, radius, camera)
    order = inside[torch.argsort(centre[inside, 2] - radius[inside])]
    size = _FIRST_BLOCKS
    while len(order):
        yield order[:size]
        order = order[size:]
        size *= 2
        if len(order):
            occlusion = OcclusionPyramid(buffer, camera)
            order = order[~occlusion.hides(centre[order], radius[order])]


def _drawn_radius(radius: Tensor, z: Tensor, camera: Camera, scale: float) -> Tensor:
    """Return the drawn radius: at least a pixel wide, for a smaller disk would fall between the pixel centres."""
    return torch.maximum(radius * scale, z * (0.71 / max(camera.fx, camera.fy)))


def _in_view(centre: Tensor, radius: Tensor, camera: Camera) -> Tensor:
    """Return the numbers of the spheres, in the camera frame, that meet the view frustum."""
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = -camera.cy / camera.fy, (camera.height - camera.cy) / camera.fy
    # Inward normals of the side planes and of the near plane.
    planes = torch.tensor(
        [[1, 0, -left], [-1, 0, right], [0, 1, -top], [0, -1, bottom], [0, 0, 1]], dtype=torch.float32
    )
    planes = torch.nn.functional.normalize(planes, dim=-1).to(centre.device)
    return (centre @ planes.T > -radius[:, None]).all(dim=-1).nonzero().squeeze(1)


def _visible(
    surfels: SurfelCloud, blocks: Blocks, chosen: Tensor, camera: Camera, T_camera_surfels: Tensor, scale: float
) -> _Disks:
    """Return the disks of the chosen blocks that can cover a pixel, in the camera frame."""
    out = []
    device = chosen.device
    R = T_camera_surfels[:3, :3].to(device=device, dtype=torch.float32)
    for part in chosen.split(_BLOCKS_AT_ONCE):
        centre = transform(T_camera_surfels, blocks.position.index_select(0, part).view(-1, 3))
        radius = blocks.reach.index_select(0, part).flatten()
        number = (part[:, None] * BLOCK + torch.arange(BLOCK, device=device)).flatten()
        x, y, z = centre.unbind(-1)
        reach = _drawn_radius(radius, z, camera, scale)
        inside = (z > NEAR) & (number < len(surfels))
        for along, side, focal, principal in (
            (x, camera.width, camera.fx, camera.cx),
            (y, camera.height, camera.fy, camera.cy),
        ):
            # Half the image plane at z = 1, seen from its middle, and the disk's reach there.
            middle, half = (side / 2 - principal) / focal, side / (2 * focal)
            inside &= (along - middle * z).abs() < half * z + math.hypot(1, half + abs(middle)) * reach
        kept = inside.nonzero().squeeze(1)
        number, centre, reach = (t.index_select(0, kept) for t in (number, centre, reach))
        normal = surfels.normal.index_select(0, number) @ R.T
        facing = ((normal * centre).sum(dim=-1) < 0).nonzero().squeeze(1)
        number, centre, normal, reach = (t.index_select(0, facing) for t in (number, centre, normal, reach))
        tag = zbuffer.tags(number, surfels.provenance.index_select(0, number) > 0)
        out.append(_bounded(tag, centre, normal, reach, camera))
    return _Disks(*(torch.cat(column) for column in zip(*(vars(d).values() for d in out), strict=True)))


def _bounded(tag: Tensor, centre: Tensor, normal: Tensor, reach: Tensor, camera: Camera) -> _Disks:
    """Return the disks with the window of pixels that each can cover.

    A disk of radius r reaches ``r * sqrt(1 - n_i^2)`` along axis i. So ``x / z`` differs from the centre's by at most
    ``(reach_x + |x / z| * reach_z) / (z - reach_z)``.
    """
    x, y, z = centre.unbind(-1)
    extent = reach[:, None] * torch.sqrt((1 - normal.square()).clamp_(min=0))
    nearest = (z - extent[:, 2]).clamp_(min=NEAR)
    largest = torch.tensor(_SIDES, device=tag.device)
    windows = []
    for focal, middle, ratio, reach_axis in (
        (camera.fx, camera.cx, x / z, extent[:, 0]),
        (camera.fy, camera.cy, y / z, extent[:, 1]),
    ):
        half = (focal * (reach_axis + ratio.abs() * extent[:, 2]) / nearest).clamp_(min=0.71, max=_SIDES[-1] / 2)
        first = torch.ceil(focal * ratio + (middle - 0.5) - half)
        # Pixel centres at +0.5 that lie within half of the centre: at most floor(2 half) + 1 of them.
        side = torch.bucketize(torch.floor(2 * half).long() + 1, largest).clamp_(max=len(_SIDES) - 1)
        windows += [first.long(), side]
    return _Disks(tag, centre, normal, reach, windows[0], windows[2], windows[1], windows[3])


def _draw(disks: _Disks, camera: Camera, buffer: Tensor) -> None:
    """Lower the packed depths in ``buffer`` [H * W] by the fragments of the disks, one window size after the other."""
    fragments = _FRAGMENTS.get(buffer.device.type, _FRAGMENTS["cuda"])
    kind = (disks.rows * len(_SIDES) + disks.columns).to(torch.uint8)
    order = torch.argsort(kind, stable=True)
    counts = torch.bincount(kind, minlength=len(_SIDES) ** 2).tolist()
    for number, index in enumerate(order.split(counts)):
        if len(index):
            rows, columns = _SIDES[number // len(_SIDES)], _SIDES[number % len(_SIDES)]
            for part in index.split(max(1, fragments // (rows * columns))):
                _draw_window(disks[part], rows, columns, camera, buffer)


def _draw_window(disks: _Disks, rows: int, columns: int, camera: Camera, buffer: Tensor) -> None:
    """Intersect the pixel rays of one window size with the planes of n disks, as [rows, columns, n].

    The disks run along the last axis, so that every operation streams through memory.
    """
    down, right = (torch.arange(side, device=buffer.device)[:, None] for side in (rows, columns))
    row, column = disks.row + down, disks.column + right
    y = ((row.float() + (0.5 - camera.cy)) / camera.fy)[:, None]
    x = ((column.float() + (0.5 - camera.cx)) / camera.fx)[None]
    nx, ny, nz = disks.normal.unbind(1)
    cx, cy, cz = disks.centre.unbind(1)
    # The ray (x, y, 1) meets the plane at z = (n . c) / (n . ray). The offset from the centre is found from z - cz
    # rather than from the difference of two far points, which would cost the digits that small disks need.
    z = (nx * cx + ny * cy + nz * cz) / (nx * x + (ny * y + nz))
    dz = z - cz
    dx = torch.addcmul(x * cz - cx, x, dz)
    dy = torch.addcmul(y * cz - cy, y, dz)
    squared = dx.mul_(dx).addcmul_(dy, dy).addcmul_(dz, dz)
    hit = (squared <= disks.reach.square()) & (z > NEAR)
    hit &= ((row >= 0) & (row < camera.height))[:, None]
    hit &= ((column >= 0) & (column < camera.width))[None]
    window, disk = hit.flatten(end_dim=1).nonzero(as_tuple=True)
    step = (down * camera.width + right.T).flatten()
    pixel = (disks.row * camera.width + disks.column).index_select(0, disk) + step.index_select(0, window)
    depth = z.flatten(end_dim=1)[window, disk]
    zbuffer.draw(buffer, pixel, depth, disks.tag.index_select(0, disk))
